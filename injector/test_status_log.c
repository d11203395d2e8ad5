#include "injector/status_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define LOG   "podgraft-agent: 2026-11-22T16:31:07Z "
#define SINCE " since 2026-11-22T16:20:13Z by "

static void read_all(struct pg_status_log *log, const char *const *lines)
{
	*log = (struct pg_status_log){ .count = 0 };
	for (; *lines; lines++)
		pg_status_log_line(log, *lines);
}

static void what_stands_is_what_was_not_ended(void **state)
{
	static struct pg_status_log log;
	static const char *const lines[] = {
		"podgraft-agent/1 listening on 127.0.0.1:41873 key AQID",
		"podgraft-agent: session started, 1 now",
		LOG "port 8080: started (tproxy)" SINCE "ann@laptop",
		LOG "port 9090: started (tproxy)" SINCE "ann@laptop",
		LOG "outgoing port 8080: started (nat)" SINCE "ann@laptop",
		LOG "port 9090: parked (the laptop does not answer)" SINCE "ann@laptop",
		LOG "port 8080: stopped" SINCE "ann@laptop",
		LOG "port 80: started (tproxy)" SINCE "ann@laptop",
		LOG "port 80: taken over" SINCE "bob@desk",
		LOG "port 81: stopped" SINCE "ann@laptop", /* its start is not in the tail */
		NULL,
	};
	(void)state;
	read_all(&log, lines);
	assert_int_equal(log.count, 2);
	assert_int_equal(log.redirects[0].port, 9090);
	assert_int_equal(log.redirects[0].event, PG_STATUS_PARKED);
	assert_int_equal(log.redirects[1].port, 8080);
	assert_true(log.redirects[1].outgoing);
}

static void one_line_of_a_tail_is_enough(void **state)
{
	static struct pg_status_log log;
	static const char *const lines[] = {
		"rt 7000: started (tproxy)" SINCE "ann@laptop", /* cut in the middle */
		LOG "port 8080: resumed" SINCE "ann@laptop",
		NULL,
	};
	(void)state;
	read_all(&log, lines);
	assert_int_equal(log.count, 1);
	assert_int_equal(log.redirects[0].event, PG_STATUS_RESUMED);
	assert_string_equal(log.redirects[0].who, "ann@laptop");
}

static void a_laptop_that_is_away_has_parked_redirects_until_it_is_forgotten(void **state)
{
	static struct pg_status_log log;
	static const char *const lines[] = {
		LOG "port 8080: started (tproxy)" SINCE "ann@laptop",
		LOG "port 8080: parked (laptop away since 2026-11-22T16:31:07Z)" SINCE "ann@laptop",
		NULL,
	};
	(void)state;
	read_all(&log, lines);
	assert_int_equal(log.count, 1);
	assert_int_equal(log.redirects[0].event, PG_STATUS_PARKED);
	assert_string_equal(log.redirects[0].note, "laptop away since 2026-11-22T16:31:07Z");
	pg_status_log_line(&log, LOG "port 8080: stopped (the laptop did not come back)" SINCE
				     "ann@laptop");
	assert_int_equal(log.count, 0);
}

static void a_hostile_log_ends_where_the_room_does(void **state)
{
	static struct pg_status_log log;
	char line[PG_STATUS_LINE];
	(void)state;
	log.count = 0;
	for (unsigned port = 1; port <= 2000; port++) {
		snprintf(line, sizeof(line), LOG "port %u: started (tproxy)" SINCE "eve", port);
		pg_status_log_line(&log, line);
	}
	assert_int_equal(log.count, PG_STATUS_REDIRECTS);
	for (unsigned port = 2000; port > 0; port--) {
		snprintf(line, sizeof(line), LOG "port %u: stopped" SINCE "eve", port);
		pg_status_log_line(&log, line);
	}
	assert_int_equal(log.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_stands_is_what_was_not_ended),
		cmocka_unit_test(one_line_of_a_tail_is_enough),
		cmocka_unit_test(a_laptop_that_is_away_has_parked_redirects_until_it_is_forgotten),
		cmocka_unit_test(a_hostile_log_ends_where_the_room_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
