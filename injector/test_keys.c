#include "injector/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "injector/state_dir.h"

/* A folder of its own for each test, as $XDG_STATE_HOME. */
static int make_home(void **state)
{
	char home[] = "/tmp/podgraft-keys-XXXXXX";
	if (!mkdtemp(home))
		return -1;
	setenv("XDG_STATE_HOME", home, 1);
	*state = pg_state_dir(NULL);
	return *state ? 0 : -1;
}

static int drop_home(void **state)
{
	char path[256], home[256];
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", (char *)*state, i ? "lock" : "key");
		unlink(path);
	}
	rmdir(*state);
	snprintf(home, sizeof(home), "%s", getenv("XDG_STATE_HOME"));
	free(*state);
	return rmdir(home);
}

static void first_use_makes_a_private_key(void **state)
{
	struct pg_keys made, again;
	struct stat st;
	char path[256];
	assert_int_equal(stat(*state, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(pg_keys_load(*state, &made, NULL), 0);
	snprintf(path, sizeof(path), "%s/key", (char *)*state);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(pg_keys_load(*state, &again, NULL), 0);
	assert_memory_equal(&made, &again, sizeof(made));
}

static void a_key_that_others_can_read_is_refused(void **state)
{
	struct pg_keys keys;
	struct pg_err err = { .code = 0 };
	char path[256];
	assert_int_equal(pg_keys_load(*state, &keys, NULL), 0);
	snprintf(path, sizeof(path), "%s/key", (char *)*state);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(pg_keys_load(*state, &keys, &err), -EPERM);
	assert_int_equal(err.whose, PG_LOCAL);
	assert_non_null(strstr(err.what, "open to others"));
	assert_non_null(strstr(err.hint, "chmod 600"));
}

static void two_that_come_first_get_the_same_key(void **state)
{
	enum { AT_ONCE = 8 };
	struct pg_keys mine, theirs;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	for (int i = 0; i < AT_ONCE; i++) {
		if (fork() == 0) {
			int rc = pg_keys_load(*state, &theirs, NULL);
			_exit(rc == 0 && write(ends[1], &theirs, sizeof(theirs)) > 0 ? 0 : 1);
		}
	}
	assert_int_equal(pg_keys_load(*state, &mine, NULL), 0);
	for (int i = 0; i < AT_ONCE; i++) {
		int status;
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
		assert_int_equal(read(ends[0], &theirs, sizeof(theirs)), sizeof(theirs));
		assert_memory_equal(&mine, &theirs, sizeof(mine));
	}
	close(ends[0]);
	close(ends[1]);
}

static void what_is_no_key_is_refused(void **state)
{
	struct pg_keys keys, other;
	char text[PG_KEY_TEXT], bad[PG_KEY_TEXT];
	(void)state;
	pg_keys_make(&keys);
	pg_keys_format(&keys, text);
	assert_int_equal(pg_keys_parse(text, &other), 0);
	assert_memory_equal(&keys, &other, sizeof(keys));
	for (size_t i = 0; i < strlen(text); i++) { /* any character changed, or the end cut off */
		memcpy(bad, text, sizeof(bad));
		bad[i] = bad[i] == 'A' ? 'B' : 'A';
		assert_int_equal(pg_keys_parse(bad, &other), -EINVAL);
		bad[i] = '\0';
		assert_int_equal(pg_keys_parse(bad, &other), -EINVAL);
	}
	assert_int_equal(pg_keys_parse("", &other), -EINVAL);
}

static void no_home_is_told(void **state)
{
	struct pg_err err = { .code = 0 };
	char *home = getenv("HOME");
	char kept[256];
	(void)state;
	snprintf(kept, sizeof(kept), "%s", home ? home : "/");
	unsetenv("HOME");
	setenv("XDG_STATE_HOME", "relative", 1);
	assert_null(pg_state_dir(&err));
	assert_int_equal(err.whose, PG_LOCAL);
	setenv("HOME", kept, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(first_use_makes_a_private_key, make_home,
						drop_home),
		cmocka_unit_test_setup_teardown(a_key_that_others_can_read_is_refused, make_home,
						drop_home),
		cmocka_unit_test_setup_teardown(two_that_come_first_get_the_same_key, make_home,
						drop_home),
		cmocka_unit_test(what_is_no_key_is_refused),
		cmocka_unit_test(no_home_is_told),
	};
	return pg_auth_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
