#include "injector/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proto/mux/limits.h"

enum { MIB = 1 << 20 };

static const struct pg_load_look crowd = { .lanes = 1, .lively = 8, .bytes = 50 * MIB };

static void a_crowd_that_lasts_gets_a_lane(void **state)
{
	(void)state;
	struct pg_load l = { 0 };
	assert_false(pg_load_wants_lane(&l, &crowd, 0));
	assert_true(pg_load_wants_lane(&l, &crowd, 250));
	assert_false(pg_load_wants_lane(&l, &crowd, 500)); /* the new one has its chance first */
	assert_true(pg_load_wants_lane(&l, &crowd, 750));
}

static void a_pause_begins_it_anew(void **state)
{
	(void)state;
	struct pg_load l = { 0 };
	const struct pg_load_look quiet = { .lanes = 1 };
	for (uint64_t now = 0; now < 10000; now += 500) {
		assert_false(pg_load_wants_lane(&l, &crowd, now));
		assert_false(pg_load_wants_lane(&l, &quiet, now + 250));
	}
}

static void what_needs_no_lane(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		struct pg_load_look look;
	} rows[] = {
		{ "one connection", { .lanes = 1, .lively = 1, .bytes = 50 * MIB } },
		{ "a lane for each", { .lanes = 3, .lively = 3, .bytes = 50 * MIB } },
		{ "many that say little", { .lanes = 1, .lively = 500, .bytes = MIB / 2 } },
		{ "enough lanes", { .lanes = PG_LANES_MAX, .lively = 500, .bytes = 90 * MIB } },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pg_load l = { 0 };
		for (uint64_t now = 0; now < 5000; now += 250)
			if (pg_load_wants_lane(&l, &rows[i].look, now))
				fail_msg("%s", rows[i].what);
	}
}

static void on_a_long_way_the_path_is_the_limit(void **state)
{
	(void)state;
	struct pg_load l = { 0 };
	/* 100 Mbit/s, and 600, fill a look with so much. */
	struct pg_load_look look = { .lanes = 1, .lively = 8, .bytes = 3 * MIB, .rtt_us = 50000 };
	for (uint64_t now = 0; now < 5000; now += 250) {
		look.bytes = now % 500 ? 3 * MIB : 15 * MIB;
		assert_false(pg_load_wants_lane(&l, &look, now));
	}
	look.bytes = 16 * MIB; /* so much that it is the processors all the same */
	pg_load_wants_lane(&l, &look, 5000);
	assert_true(pg_load_wants_lane(&l, &look, 5250));
}

static void nearby_it_is_the_processors(void **state)
{
	(void)state;
	struct pg_load l = { 0 };
	const struct pg_load_look look = {
		.lanes = 1, .lively = 8, .bytes = 3 * MIB, .rtt_us = 500
	};
	pg_load_wants_lane(&l, &look, 0);
	assert_true(pg_load_wants_lane(&l, &look, 250));
}

static void a_failure_is_not_repeated_for_a_while(void **state)
{
	(void)state;
	struct pg_load l = { 0 };
	pg_load_failed(&l, 1000, 30000);
	for (uint64_t now = 1000; now < 31000; now += 250)
		assert_false(pg_load_wants_lane(&l, &crowd, now));
	assert_true(pg_load_wants_lane(&l, &crowd, 31000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crowd_that_lasts_gets_a_lane),
		cmocka_unit_test(a_pause_begins_it_anew),
		cmocka_unit_test(what_needs_no_lane),
		cmocka_unit_test(on_a_long_way_the_path_is_the_limit),
		cmocka_unit_test(nearby_it_is_the_processors),
		cmocka_unit_test(a_failure_is_not_repeated_for_a_while),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
