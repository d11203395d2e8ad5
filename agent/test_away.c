/* Notes of redirects whose laptop went: who is told of, and for how long. */
#include "agent/away.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

enum { GONE_MS = 5000 };

static void add(struct pg_away *a, enum pg_direction direction, uint16_t port, const char *holder,
		uint64_t now_ms)
{
	struct pg_away_redirect r = { .direction = direction,
				      .port = port,
				      .until_ms = now_ms + PG_AWAY_MS };
	snprintf(r.holder, sizeof(r.holder), "%s", holder);
	pg_away_add(a, &r);
}

static void each_is_forgotten_after_ten_minutes(void **state)
{
	static struct pg_away a;
	struct pg_away_redirect old = { .port = 0 };
	const uint64_t ten_minutes_ms = 600000;
	(void)state;
	add(&a, PG_INCOMING, 80, "ann@laptop", GONE_MS);
	add(&a, PG_INCOMING, 81, "ann@laptop", GONE_MS + 1);
	assert_false(pg_away_take_old(&a, GONE_MS + ten_minutes_ms - 1, &old));
	assert_true(pg_away_take_old(&a, GONE_MS + ten_minutes_ms, &old));
	assert_int_equal(old.port, 80);
	assert_false(pg_away_take_old(&a, GONE_MS + ten_minutes_ms, &old));
	assert_true(pg_away_take_old(&a, GONE_MS + ten_minutes_ms + 1, &old));
	assert_int_equal(old.port, 81);
	assert_int_equal(a.count, 0);
}

static void who_is_back_takes_the_note_of_that_port_and_direction(void **state)
{
	static struct pg_away a;
	struct pg_away_redirect r = { .port = 0 };
	(void)state;
	add(&a, PG_INCOMING, 80, "ann@laptop", 1);
	add(&a, PG_OUTGOING, 80, "bob@desk", 2);
	assert_true(pg_away_take(&a, PG_OUTGOING, 80, &r));
	assert_string_equal(r.holder, "bob@desk");
	assert_false(pg_away_take(&a, PG_OUTGOING, 80, &r));
	assert_false(pg_away_take(&a, PG_INCOMING, 81, &r));
	assert_int_equal(a.count, 1);
	assert_int_equal(a.items[0].direction, PG_INCOMING);
}

static void who_goes_again_is_noted_once_and_last(void **state)
{
	static struct pg_away a;
	(void)state;
	add(&a, PG_INCOMING, 80, "ann@laptop", 1);
	add(&a, PG_INCOMING, 81, "ann@laptop", 2);
	add(&a, PG_INCOMING, 80, "ann@desk", 3);
	assert_int_equal(a.count, 2);
	assert_int_equal(a.items[0].port, 81);
	assert_string_equal(a.items[1].holder, "ann@desk");
}

static void of_too_many_the_oldest_is_forgotten(void **state)
{
	static struct pg_away a;
	(void)state;
	for (int port = 1; port <= PG_AWAY_MAX + 1; port++)
		add(&a, PG_INCOMING, (uint16_t)port, "ann@laptop", (uint64_t)port);
	assert_int_equal(a.count, PG_AWAY_MAX);
	assert_int_equal(a.items[0].port, 2);
	assert_int_equal(a.items[PG_AWAY_MAX - 1].port, PG_AWAY_MAX + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_forgotten_after_ten_minutes),
		cmocka_unit_test(who_is_back_takes_the_note_of_that_port_and_direction),
		cmocka_unit_test(who_goes_again_is_noted_once_and_last),
		cmocka_unit_test(of_too_many_the_oldest_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
