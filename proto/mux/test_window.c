#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "proto/base/num.h"
#include "proto/mux/limits.h"
#include "proto/mux/pace.h"
#include "proto/mux/rtt.h"
#include "proto/mux/window.h"

enum { ROUND = 50000, SECOND = 1000000 };

static const struct pg_round path = { .us = ROUND, .trips = PG_TRIPS };

/* A path that is known to carry 10 MB/s. */
static const struct pg_round known_path = { .us = ROUND, .trips = PG_TRIPS, .known = 1000000 };

/* A window that is used to the full for `rounds` round trips from *now on, all that is due granted
 * at the end of each. */
static void use(struct pg_window *w, struct pg_pool *pool, int rounds, uint64_t *now)
{
	for (int i = 0; i < rounds; i++) {
		*now += ROUND;
		size_t n = w->granted;
		assert_int_equal(pg_window_arrived(w, n), 0);
		pg_window_consumed(w, pool, n, path, *now);
		pg_window_grant(w);
	}
}

static void starts_with_its_own(void **state)
{
	(void)state;
	struct pg_window w;
	struct pg_pool pool = { .bytes = 0 };
	pg_window_init(&w, 0);
	assert_int_equal(pg_window_arrived(&w, PG_CREDIT_OWN + 1), -EPROTO);
	assert_int_equal(pg_window_arrived(&w, PG_CREDIT_OWN), 0);
	assert_int_equal(pg_window_arrived(&w, 1), -EPROTO);
	assert_false(pg_window_is_due(&w));
	pg_window_consumed(&w, &pool, PG_CREDIT_OWN / 4 - 1, path, 1);
	assert_false(pg_window_is_due(&w));
	pg_window_consumed(&w, &pool, 1, path, 1);
	assert_true(pg_window_is_due(&w));
	assert_int_equal(pg_window_grant(&w), PG_CREDIT_OWN / 4);
	assert_int_equal(pg_window_grant(&w), 0);
}

static void doubles_with_each_round_trip(void **state)
{
	(void)state;
	struct pg_window w;
	struct pg_pool pool = { .bytes = PG_POOL_LAPTOP };
	uint64_t now = 0;
	pg_window_init(&w, now);
	for (size_t want = 2 * PG_CREDIT_OWN; want <= 1 << 20; want *= 2) {
		use(&w, &pool, 1, &now);
		assert_int_equal(w.size, want);
		assert_int_equal(pool.lent, want - PG_CREDIT_OWN);
	}
	pg_window_fini(&w, &pool);
	assert_int_equal(pool.lent, 0);
}

/* Consumes all that was granted, a round trip after it was. */
static void use_known(struct pg_window *w, struct pg_pool *pool, uint64_t now)
{
	size_t n = w->granted;
	assert_int_equal(pg_window_arrived(w, n), 0);
	pg_window_consumed(w, pool, n, known_path, now);
	pg_window_grant(w);
}

static void begins_with_half_of_what_is_known(void **state)
{
	(void)state;
	struct pg_window w[2];
	struct pg_pool pool = { .bytes = PG_POOL_LAPTOP };
	pg_window_init(&w[0], 0);
	pg_window_init(&w[1], 0);
	use_known(&w[0], &pool, ROUND);
	assert_int_equal(w[0].size, PG_CREDIT_OWN + 500000);
	/* A small part of it consumed takes nothing away. */
	assert_int_equal(pg_window_arrived(&w[0], 1000), 0);
	pg_window_consumed(&w[0], &pool, 1000, known_path, ROUND + 1);
	assert_int_equal(w[0].size, PG_CREDIT_OWN + 500000);
	/* The other half belongs to those that come: by their own rate. */
	use_known(&w[1], &pool, ROUND);
	assert_int_equal(w[1].size, 2 * PG_CREDIT_OWN);
	pg_window_fini(&w[0], &pool);
	use_known(&w[1], &pool, 2 * ROUND);
	assert_int_equal(w[1].size, PG_CREDIT_OWN + 500000);
	pg_window_fini(&w[1], &pool);
	assert_int_equal(pool.lent, 0);
}

static void what_is_known_needs_a_consumer(void **state)
{
	(void)state;
	struct pg_window w;
	struct pg_pool pool = { .bytes = PG_POOL_LAPTOP };
	pg_window_init(&w, 0);
	/* 100 kB a second: less than its own credit in a round trip. */
	for (uint64_t now = 10000; now < 2 * SECOND; now += 10000) {
		assert_int_equal(pg_window_arrived(&w, 1000), 0);
		pg_window_consumed(&w, &pool, 1000, known_path, now);
		if (pg_window_is_due(&w))
			pg_window_grant(&w);
		assert_int_equal(pool.lent, 0);
	}
	/* Fast once, and stuck from then on: it keeps what it was given for one round. */
	use_known(&w, &pool, 2 * SECOND + ROUND);
	assert_int_equal(pool.lent, 0); /* the round had begun long before */
	use_known(&w, &pool, 2 * SECOND + 2 * ROUND);
	assert_int_equal(pool.lent, 500000);
	assert_int_equal(pg_window_arrived(&w, 1000), 0);
	pg_window_consumed(&w, &pool, 1000, known_path, 6 * SECOND);
	assert_int_equal(pg_window_returned(&w, &pool, w.granted - PG_CREDIT_OWN), 0);
	assert_int_equal(pool.lent, 0);
}

static void takes_at_most_its_share(void **state)
{
	(void)state;
	struct pg_window w[6];
	struct pg_pool pool = { .bytes = 1 << 20 };
	for (int i = 0; i < 6; i++) {
		uint64_t now = 0;
		pg_window_init(&w[i], now);
		use(&w[i], &pool, 10, &now);
		assert_int_equal(w[i].size - PG_CREDIT_OWN, i < 4 ? 1 << 18 : 0);
	}
	pg_window_fini(&w[0], &pool);
	uint64_t now = SECOND;
	use(&w[5], &pool, 10, &now);
	assert_int_equal(w[5].size - PG_CREDIT_OWN, 1 << 18);
}

static void slows_down_with_its_consumer(void **state)
{
	(void)state;
	struct pg_window w;
	struct pg_pool pool = { .bytes = PG_POOL_LAPTOP };
	uint64_t now = 0;
	pg_window_init(&w, now);
	use(&w, &pool, 6, &now);
	assert_int_equal(w.size, 1 << 20);
	/* 100 kB a second from now on: twice 5,000 bytes a round trip, so nothing is borrowed. */
	for (int i = 0; i < 400; i++) {
		now += 10000;
		size_t n = pg_min(1000, w.granted);
		assert_int_equal(pg_window_arrived(&w, n), 0);
		pg_window_consumed(&w, &pool, n, path, now);
		if (pg_window_is_due(&w))
			pg_window_grant(&w);
	}
	/* ... apart from what the peer still has. */
	assert_int_equal(w.size, w.granted + w.held);
	assert_true(w.size < (1 << 20) - 300000);
	assert_int_equal(pg_window_returned(&w, &pool, w.granted - PG_CREDIT_OWN), 0);
	assert_int_equal(pool.lent, 0);
}

static void holds_on_to_what_is_held(void **state)
{
	(void)state;
	struct pg_window w;
	struct pg_pool pool = { .bytes = PG_POOL_LAPTOP };
	uint64_t now = 0;
	pg_window_init(&w, now);
	use(&w, &pool, 6, &now);
	size_t all = w.granted;
	assert_int_equal(pg_window_arrived(&w, all), 0);
	now += 5 * SECOND; /* it stalls */
	pg_window_consumed(&w, &pool, all / 2, path, now);
	assert_true(pool.lent >= w.held - PG_CREDIT_OWN);
	assert_true(pool.lent < all);
	pg_window_ended(&w, &pool);
	assert_int_equal(w.size, w.held);
	pg_window_consumed(&w, &pool, w.held, path, now);
	assert_int_equal(pool.lent, 0);
	assert_false(pg_window_is_due(&w) && pg_window_grant(&w) > 0);
}

static void an_allowance_is_the_other_side(void **state)
{
	(void)state;
	struct pg_allowance a;
	pg_allowance_init(&a, true);
	assert_int_equal(pg_allowance_usable(&a), PG_CREDIT_OWN);
	assert_int_equal(pg_allowance_granted(&a, 1 << 20), 0);
	assert_int_equal(pg_allowance_usable(&a), PG_UNACCEPTED_MAX);
	pg_allowance_spend(&a, PG_UNACCEPTED_MAX);
	assert_int_equal(pg_allowance_usable(&a), 0);
	pg_allowance_accepted(&a);
	assert_int_equal(pg_allowance_usable(&a), (1 << 20) + PG_CREDIT_OWN - PG_UNACCEPTED_MAX);
	assert_int_equal(pg_allowance_granted(&a, PG_CREDIT_MAX), -EPROTO);
	assert_int_equal(pg_allowance_granted(&a, PG_CREDIT_MAX - a.left), 0);
	assert_int_equal(pg_allowance_granted(&a, 1), -EPROTO);
}

static void what_is_not_needed_is_spare(void **state)
{
	(void)state;
	struct pg_allowance a;
	pg_allowance_init(&a, false);
	assert_int_equal(pg_allowance_granted(&a, 1 << 20), 0);
	assert_int_equal(pg_allowance_spare(&a), 0); /* it has only just come */
	pg_allowance_spend(&a, 1 << 19);
	assert_int_equal(pg_allowance_granted(&a, 1 << 19), 0);
	assert_int_equal(pg_allowance_spare(&a), 1 << 19);
	assert_int_equal(a.left, (1 << 19) + PG_CREDIT_OWN);
	assert_int_equal(pg_allowance_spare(&a), 1 << 19);
	assert_int_equal(a.left, PG_CREDIT_OWN);
	assert_int_equal(pg_allowance_spare(&a), 0);
}

static void the_least_round_trip_is_of_late(void **state)
{
	(void)state;
	struct pg_rtt r;
	uint64_t now = 0;
	pg_rtt_init(&r, now);
	assert_int_equal(pg_rtt_least(&r), 0);
	pg_rtt_sample(&r, 50000, false, now); /* better than none */
	assert_int_equal(pg_rtt_least(&r), 50000);
	pg_rtt_sample(&r, 20000, true, now);
	assert_int_equal(pg_rtt_least(&r), 20000);
	for (; now < 100 * SECOND; now += SECOND)
		pg_rtt_sample(&r, 90000, false, now); /* under load: says nothing */
	assert_int_equal(pg_rtt_least(&r), 20000);
	assert_int_equal(r.last_us, 90000);
	pg_rtt_sample(&r, 19000, false, now); /* even so */
	assert_int_equal(pg_rtt_least(&r), 19000);
	uint64_t since = now;
	while (pg_rtt_least(&r) == 19000)
		pg_rtt_sample(&r, 40000, true, now += SECOND);
	assert_in_range(now - since, PG_RTT_MEMORY_MS * 1000, 2 * (PG_RTT_MEMORY_MS + 2000) * 1000);
	assert_int_equal(pg_rtt_least(&r), 40000);
}

static void rounds_measure_the_rate(void **state)
{
	(void)state;
	struct pg_rate r;
	pg_rate_init(&r, 1000, 0);
	assert_false(pg_rate_consumed(&r, 999, 10000, 5000));
	assert_int_equal(pg_rate_within(&r, SECOND), 0);
	assert_true(pg_rate_consumed(&r, 1, 10000, 5000));
	assert_int_equal(pg_rate_within(&r, SECOND), 100000); /* no faster than the path */
	pg_rate_next(&r, 1000, 5000);
	assert_true(pg_rate_consumed(&r, 1000, 10000, 55000));
	assert_int_equal(pg_rate_within(&r, SECOND), 100000); /* the best of late */
	pg_rate_next(&r, 1000, 55000);
	assert_true(pg_rate_consumed(&r, 100, 10000, 1555000)); /* a pause ends the round */
	pg_rate_next(&r, 1000, 1555000);
	assert_true(pg_rate_consumed(&r, 1000, 10000, 3055000));
	assert_int_equal(pg_rate_within(&r, SECOND), 666);
}

static void the_pace_is_that_of_the_last_minutes(void **state)
{
	(void)state;
	struct pg_pace p = { .bytes = 0 };
	uint64_t now = 100 * SECOND;
	assert_int_equal(pg_pace_within(&p, SECOND), 0);
	for (int i = 0; i < 100; i++)
		pg_pace_consumed(&p, 10000, ROUND, now += 10000);
	assert_int_equal(pg_pace_within(&p, SECOND), 1000000);
	assert_int_equal(pg_pace_within(&p, ROUND), 50000);
	pg_pace_consumed(&p, 1 << 20, ROUND, now += 1000); /* a burst is no pace */
	for (int i = 0; i < 100; i++)
		pg_pace_consumed(&p, 10, ROUND, now += 100000);
	assert_in_range(pg_pace_within(&p, SECOND), 1000000, 6000000);
	uint64_t since = now;
	while (pg_pace_within(&p, SECOND) >= 1000000)
		pg_pace_consumed(&p, 10, ROUND, now += SECOND);
	assert_in_range(now - since, PG_PACE_MEMORY_MS / 2 * 1000ULL,
			2 * PG_PACE_MEMORY_MS * 1000ULL);
	pg_pace_consumed(&p, 1 << 20, ROUND, now + 2 * PG_PACE_MEMORY_MS * 1000ULL);
	assert_true(pg_pace_within(&p, SECOND) < 10000); /* after a pause, of the pause */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_with_its_own),
		cmocka_unit_test(doubles_with_each_round_trip),
		cmocka_unit_test(begins_with_half_of_what_is_known),
		cmocka_unit_test(what_is_known_needs_a_consumer),
		cmocka_unit_test(takes_at_most_its_share),
		cmocka_unit_test(slows_down_with_its_consumer),
		cmocka_unit_test(holds_on_to_what_is_held),
		cmocka_unit_test(an_allowance_is_the_other_side),
		cmocka_unit_test(what_is_not_needed_is_spare),
		cmocka_unit_test(the_least_round_trip_is_of_late),
		cmocka_unit_test(rounds_measure_the_rate),
		cmocka_unit_test(the_pace_is_that_of_the_last_minutes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
