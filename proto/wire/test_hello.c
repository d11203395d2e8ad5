#include "proto/wire/hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

static void the_same_protocol_is_fine_whatever_the_version(void **state)
{
	struct pg_err err = { 0 };
	(void)state;
	assert_int_equal(pg_hello_check(PG_PROTOCOL, "9.9.9", &err), 0);
	assert_int_equal(err.code, 0);
}

static void a_newer_agent_asks_for_a_newer_podgraft(void **state)
{
	struct pg_err err = { 0 };
	(void)state;
	assert_int_equal(pg_hello_check(PG_PROTOCOL + 1, "2.0.0", &err), -EPROTO);
	assert_string_equal(err.hint, "install podgraft 2.0.0");
	assert_int_equal(err.whose, PG_TARGET);
}

static void an_older_agent_is_to_be_replaced(void **state)
{
	struct pg_err err = { 0 };
	(void)state;
	assert_int_equal(pg_hello_check(0, "0.0.1", &err), -EPROTO);
	assert_string_equal(err.hint, "name a newer agent with --image; a new one is grafted then");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_protocol_is_fine_whatever_the_version),
		cmocka_unit_test(a_newer_agent_asks_for_a_newer_podgraft),
		cmocka_unit_test(an_older_agent_is_to_be_replaced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
