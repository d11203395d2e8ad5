#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/auto.h"
#include "proto/base/mem.h"

static void allocates_zeros_and_refuses_overflow(void **state)
{
	(void)state;
	static const uint8_t zeros[60];
	pg_auto_free uint8_t *p = pg_calloc(20, 3);
	assert_non_null(p);
	assert_memory_equal(p, zeros, sizeof(zeros));
	size_t many = SIZE_MAX / 2; /* a variable, or the compiler sees it coming */
	assert_null(pg_calloc(many, 3));
	assert_null(pg_realloc(p, many, 3));
	assert_int_equal(p[59], 0);
}

static void shrinking_to_nothing_leaves_an_owner(void **state)
{
	(void)state;
	void *p = pg_calloc(1, 10);
	void *less = pg_realloc(p, 0, 10);
	assert_non_null(less);
	free(less);
}

static void copies_text(void **state)
{
	(void)state;
	pg_auto_free char *all = pg_strdup("redirect");
	pg_auto_free char *some = pg_strndup("redirect", 5);
	pg_auto_free char *less = pg_strndup("re", 5);
	pg_auto_free char *made = pg_asprintf("%s:%d", "web", 8080);
	assert_string_equal(all, "redirect");
	assert_string_equal(some, "redir");
	assert_string_equal(less, "re");
	assert_string_equal(made, "web:8080");
}

static void the_nth_allocation_fails_once(void **state)
{
	(void)state;
	pg_mem_fail_after(2);
	pg_auto_free void *first = pg_calloc(1, 1);
	pg_auto_free char *second = pg_strdup("x");
	assert_non_null(first);
	assert_non_null(second);
	assert_false(pg_mem_failed());
	assert_null(pg_asprintf("x"));
	assert_true(pg_mem_failed());
	pg_auto_free void *fourth = pg_realloc(NULL, 1, 1);
	assert_non_null(fourth);
	assert_true(pg_mem_failed());
	pg_mem_fail_after((size_t)-1);
	assert_false(pg_mem_failed());
}

static void taking_leaves_nothing_to_release(void **state)
{
	(void)state;
	char *out = NULL;
	{
		pg_auto_free char *text = pg_strdup("mine");
		out = pg_take_ptr(&text);
		assert_null(text);
	}
	assert_string_equal(out, "mine");
	free(out);
	int fd = 7;
	assert_int_equal(pg_take_fd(&fd), 7);
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocates_zeros_and_refuses_overflow),
		cmocka_unit_test(shrinking_to_nothing_leaves_an_owner),
		cmocka_unit_test(copies_text),
		cmocka_unit_test(the_nth_allocation_fails_once),
		cmocka_unit_test(taking_leaves_nothing_to_release),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
