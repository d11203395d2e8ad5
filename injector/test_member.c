/* How a podgraft of our own is not started. What one that runs tells is in test_post.c. */
#include "injector/member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Where there is no /proc. -1: we may not go there. */
static int start_in_an_empty_root(struct pg_loop *loop, struct pg_member **out, struct pg_err *err)
{
	static const struct pg_member_events events = { NULL, NULL, NULL };
	const char *argv[] = { "podgraft", NULL };
	char empty[] = "/tmp/podgraft-member-XXXXXX";
	assert_non_null(mkdtemp(empty));
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(root >= 0);
	int rc = chroot(empty);
	if (rc == 0) {
		rc = pg_member_start(loop, argv, &events, NULL, out, err);
		assert_int_equal(fchdir(root), 0);
		assert_int_equal(chroot("."), 0);
	}
	close(root);
	rmdir(empty);
	return rc;
}

static void who_cannot_find_the_program_that_it_is_starts_none(void **state)
{
	struct pg_loop *loop = pg_loop_new(NULL);
	struct pg_member *member = NULL;
	struct pg_err err = { .code = 0 };
	const bool never = false;
	(void)state;
	assert_non_null(loop);
	int rc = start_in_an_empty_root(loop, &member, &err);
	pg_loop_wait(loop, &never, pg_loop_now_ms(loop) + 1); /* for what may be being closed */
	pg_loop_free(loop);
	if (rc == -1)
		skip();
	assert_int_equal(rc, -ENOENT);
	assert_null(member);
	assert_string_equal(err.what, "find our own program: No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_cannot_find_the_program_that_it_is_starts_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
