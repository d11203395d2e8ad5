#include "proto/io/status_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/base/auto.h"

#define AT    "2026-11-22T16:31:07Z "
#define SINCE " since 2026-11-22T16:20:13Z"
#define BY    " by ann@laptop"

struct line_case {
	const char *name, *text;
	int want;
	struct pg_status_line line;
};
static struct line_case cases[] = {
	{ "started",
	  AT "port 8080: started (tproxy)" SINCE BY,
	  0,
	  { 1795365067, false, 8080, PG_STATUS_STARTED, "tproxy", 1795364413, "ann@laptop" } },
	{ "parked, outgoing",
	  AT "outgoing port 5432: parked (the laptop does not answer)" SINCE BY,
	  0,
	  { 1795365067, true, 5432, PG_STATUS_PARKED, "the laptop does not answer", 1795364413,
	    "ann@laptop" } },
	{ "resumed, without a note",
	  AT "port 1: resumed" SINCE BY,
	  0,
	  { 1795365067, false, 1, PG_STATUS_RESUMED, "", 1795364413, "ann@laptop" } },
	{ "stopped, by a name with spaces",
	  AT "port 65535: stopped" SINCE " by the one by the window",
	  0,
	  { 1795365067, false, 65535, PG_STATUS_STOPPED, "", 1795364413,
	    "the one by the window" } },
	{ "taken over",
	  AT "port 80: taken over" SINCE " by bob@desk",
	  0,
	  { 1795365067, false, 80, PG_STATUS_TAKEN_OVER, "", 1795364413, "bob@desk" } },
	{ "another line of the log", "session started, 1 now", -EINVAL, { 0 } },
	{ "nothing", "", -EINVAL, { 0 } },
	{ "no time", "port 80: stopped" SINCE BY, -EINVAL, { 0 } },
	{ "a time of no day", "2026-13-22T16:31:07Z port 80: stopped" SINCE BY, -EINVAL, { 0 } },
	{ "port 0", AT "port 0: stopped" SINCE BY, -EINVAL, { 0 } },
	{ "port 65536", AT "port 65536: stopped" SINCE BY, -EINVAL, { 0 } },
	{ "port +80", AT "port +80: stopped" SINCE BY, -EINVAL, { 0 } },
	{ "an event from the future", AT "port 80: painted" SINCE BY, -EINVAL, { 0 } },
	{ "an empty note", AT "port 80: parked ()" SINCE BY, -EINVAL, { 0 } },
	{ "a note that does not end", AT "port 80: parked (why" SINCE BY, -EINVAL, { 0 } },
	{ "a note of 64 bytes",
	  AT "port 80: parked "
	     "(0123456789012345678901234567890123456789012345678901234567890123)" SINCE BY,
	  -EINVAL,
	  { 0 } },
	{ "no since", AT "port 80: stopped" BY, -EINVAL, { 0 } },
	{ "by nobody", AT "port 80: stopped" SINCE " by ", -EINVAL, { 0 } },
	{ "by 65 bytes",
	  AT "port 80: stopped" SINCE
	     " by 01234567890123456789012345678901234567890123456789012345678901234",
	  -EINVAL,
	  { 0 } },
};

static void parses(void **state)
{
	const struct line_case *c = *state;
	struct pg_status_line line = { .port = 7 };
	assert_int_equal(pg_status_line_parse(c->text, &line), c->want);
	if (c->want < 0) {
		assert_int_equal(line.port, 7); /* untouched */
		return;
	}
	char again[PG_STATUS_LINE];
	assert_int_equal(line.at, c->line.at);
	assert_int_equal(line.outgoing, c->line.outgoing);
	assert_int_equal(line.port, c->line.port);
	assert_int_equal(line.event, c->line.event);
	assert_string_equal(line.note, c->line.note);
	assert_int_equal(line.since, c->line.since);
	assert_string_equal(line.who, c->line.who);
	pg_status_line_format(&line, again);
	assert_string_equal(again, c->text);
}

static void texts_cannot_steer_a_terminal(void **state)
{
	struct pg_status_line line;
	(void)state;
	assert_int_equal(
		pg_status_line_parse(AT "port 80: parked (\x1b[2J)" SINCE " by \x1b]0;eve", &line),
		0);
	assert_string_equal(line.note, "?[2J");
	assert_string_equal(line.who, "?]0;eve");
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 1] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, parses, NULL, NULL, &cases[i] };
	tests[PG_LEN(cases)] = (struct CMUnitTest)cmocka_unit_test(texts_cannot_steer_a_terminal);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
