#include "injector/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATIENCE_MS = 300, LONG_MS = 20000 };

static void note_end(void *ctx)
{
	*(bool *)ctx = true;
}

/* What `sh -c script` says when it is ended, once it has made a file of that name in `folder`. */
static int ended_status(const char *script, uint64_t patience_ms)
{
	char folder[] = "/tmp/podgraft-child-XXXXXX", ready[64];
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, (char *)"sh", ready, NULL };
	const bool never = false;
	struct pg_err err = { .code = 0 };
	struct pg_child *child = NULL;
	bool ended = false;
	int code = 0;
	struct pg_loop *loop = pg_loop_new(&err);
	assert_non_null(mkdtemp(folder));
	snprintf(ready, sizeof(ready), "%s/ready", folder);
	assert_int_equal(pg_child_start(loop, argv, note_end, &ended, &child, &code, &err), 0);
	for (int i = 0; i < 500 && access(ready, F_OK) < 0; i++)
		pg_loop_wait(loop, &never, pg_loop_now_ms(loop) + 20);
	assert_false(ended);
	pg_child_end(loop, child, patience_ms);
	assert_true(ended && pg_child_has_ended(child));
	int status = pg_child_status(child);
	pg_child_free(child);
	pg_loop_free(loop);
	unlink(ready);
	rmdir(folder);
	return status;
}

static void one_that_is_asked_ends(void **state)
{
	(void)state;
	assert_int_equal(
		ended_status("trap 'exit 7' TERM; : >$1; while :; do sleep 0.05; done", LONG_MS),
		7);
}

static void one_that_does_not_listen_is_killed(void **state)
{
	(void)state;
	assert_int_equal(
		ended_status("trap '' TERM; : >$1; while :; do sleep 0.05; done", PATIENCE_MS),
		128 + 9);
}

static void what_is_not_there_is_127(void **state)
{
	char *argv[] = { (char *)"podgraft-no-such-program", NULL };
	struct pg_err err = { .code = 0 };
	struct pg_child *child = NULL;
	bool ended = false;
	int code = 0;
	struct pg_loop *loop = pg_loop_new(&err);
	(void)state;
	assert_int_equal(pg_child_start(loop, argv, note_end, &ended, &child, &code, &err),
			 -ENOENT);
	assert_int_equal(code, 127);
	assert_null(child);
	pg_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_asked_ends),
		cmocka_unit_test(one_that_does_not_listen_is_killed),
		cmocka_unit_test(what_is_not_there_is_127),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
