#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "injector/back_off.h"
#include "proto/base/mem.h"

enum { MIDDLE = 128 };

static void the_first_attempt_is_at_once_and_later_ones_wait_longer(void **state)
{
	(void)state;
	struct pg_back_off b = { 0 };
	uint64_t before = 0;
	assert_int_equal(pg_back_off_next(&b, MIDDLE), 0);
	for (int i = 0; i < 5; i++) {
		uint64_t wait_ms = pg_back_off_next(&b, MIDDLE);
		assert_true(wait_ms > before);
		before = wait_ms;
	}
	for (int i = 0; i < 20; i++)
		before = pg_back_off_next(&b, MIDDLE);
	assert_in_range(before, 9900, 10100);
}

static void the_dice_move_it_by_a_fifth(void **state)
{
	(void)state;
	struct pg_back_off b = { .wait_ms = 1000 }, c = b;
	assert_int_equal(pg_back_off_next(&b, 0), 800);
	assert_int_equal(pg_back_off_next(&c, 255), 1200);
}

static void a_link_that_lasts_starts_anew(void **state)
{
	(void)state;
	struct pg_back_off b = { .wait_ms = 10000 };
	pg_back_off_up(&b, 1000, true);
	pg_back_off_lost(&b, 1000 + 29999);
	assert_int_equal(b.wait_ms, 10000);
	assert_int_equal(b.fresh, 1);
	pg_back_off_lost(&b, 1000 + 30000);
	assert_int_equal(pg_back_off_next(&b, MIDDLE), 0);
	assert_int_equal(b.fresh, 0);
}

static void new_agents_that_do_not_last_are_made_ever_more_seldom(void **state)
{
	(void)state;
	struct pg_back_off b = { 0 };
	uint64_t wait_ms = 0;
	for (int i = 0; i < 5; i++)
		pg_back_off_up(&b, 0, true);
	for (int i = 0; i < 20; i++)
		wait_ms = pg_back_off_next(&b, MIDDLE);
	assert_in_range(wait_ms, 299000, 301000);
}

static void what_ends_it(void **state)
{
	static const struct {
		const char *name;
		int code;
		enum pg_whose whose;
		uint64_t lost_for_ms;
		bool want;
	} rows[] = {
		{ "Ctrl-C", -ECANCELED, PG_USER, 0, true },
		{ "a bad flag", -EINVAL, PG_USER, 0, true },
		{ "an API server that starts", -EINVAL, PG_CLUSTER, 0, false },
		{ "forbidden, just now", -EACCES, PG_CLUSTER, 30000, false },
		{ "forbidden, for long", -EACCES, PG_CLUSTER, 30001, true },
		{ "an agent without room, for an hour", -EAGAIN, PG_TARGET, 3600000, false },
		{ "unreachable, for an hour", -ECONNREFUSED, PG_CLUSTER, 3600000, false },
		{ "slow, for an hour", -ETIMEDOUT, PG_CLUSTER, 3600000, false },
	};
	(void)state;
	for (size_t i = 0; i < PG_LEN(rows); i++) {
		struct pg_err err = { .code = rows[i].code, .whose = (int)rows[i].whose };
		if (pg_back_off_is_final(&err, rows[i].lost_for_ms) != rows[i].want)
			fail_msg("%s", rows[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_attempt_is_at_once_and_later_ones_wait_longer),
		cmocka_unit_test(the_dice_move_it_by_a_fifth),
		cmocka_unit_test(a_link_that_lasts_starts_anew),
		cmocka_unit_test(new_agents_that_do_not_last_are_made_ever_more_seldom),
		cmocka_unit_test(what_ends_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
