#include "agent/rules_claim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/auto.h"

struct text_case {
	const char *name, *text, *holder;
	uint64_t since;
};

static struct text_case cases[] = {
	{ "as we write it", "ann@laptop since 2026-11-22T16:20:13Z", "ann@laptop", 1795364413 },
	{ "nobody", " since 2026-11-22T16:20:13Z", "", 1795364413 },
	{ "a holder with a since", "a since b since 1970-01-01T00:00:01Z", "a since b", 1 },
	{ "empty", "", "", 0 },
	{ "no time", "ann@laptop", "ann@laptop", 0 },
	{ "a time that is none", "ann since yesterday", "ann", 0 },
	{ "text behind the time", "ann since 2026-11-22T16:20:13Z!", "ann", 0 },
	{ "before the epoch", "ann since 1969-12-31T23:59:59Z", "ann", 0 },
	{ "control characters", "a\x1b[2J since 1970-01-01T00:00:01Z", "a?[2J", 1 },
	{ "a long holder", "0123456789012345678901234567890123456789012345678901234567890123456789",
	  "0123456789012345678901234567890123456789012345678901234567890123", 0 },
};

static void parses(void **state)
{
	const struct text_case *c = *state;
	struct pg_claim claim;
	pg_claim_parse(c->text, &claim);
	assert_string_equal(claim.holder, c->holder);
	assert_int_equal(claim.since, c->since);
}

static void formats(void **state)
{
	(void)state;
	char text[PG_CLAIM_TEXT], name[PG_CLAIM_NAME];
	struct pg_claim claim = { .holder = "ann@laptop", .since = 1795364413 };
	pg_claim_format(&claim, text);
	assert_string_equal(text, "ann@laptop since 2026-11-22T16:20:13Z");
	claim.since = UINT64_MAX / 2; /* no such year: the claim is still written */
	pg_claim_format(&claim, text);
	assert_string_equal(text, "ann@laptop since ?");
	memset(claim.holder, 'h', sizeof(claim.holder) - 1);
	claim.since = 253402300799; /* the last second of 9999: the longest text */
	pg_claim_format(&claim, text);
	struct pg_claim again;
	pg_claim_parse(text, &again);
	assert_string_equal(again.holder, claim.holder);
	assert_int_equal(again.since, claim.since);
	pg_claim_name(PG_INCOMING, 65535, name);
	assert_string_equal(name, "podgraft-tcp-65535");
	pg_claim_name(PG_OUTGOING, 65535, name);
	assert_string_equal(name, "podgraft-out-tcp-65535");
}

struct question_case {
	const char *name, *text, *holder;
	uint64_t since, boot_s;
};

static struct question_case question_cases[] = {
	{ "a question as we write it", "ann@laptop since 2026-11-22T16:20:13Z boot 86400",
	  "ann@laptop", 1795364413, 86400 },
	{ "a question without its time", "ann@laptop since 2026-11-22T16:20:13Z", "ann@laptop",
	  1795364413, PG_QUESTION_NEVER },
	{ "a question at a time that is none", "ann since 1970-01-01T00:00:01Z boot soon", "ann", 0,
	  PG_QUESTION_NEVER },
	{ "a question at a time too large",
	  "ann since 1970-01-01T00:00:01Z boot 18446744073709551615", "ann", 0, PG_QUESTION_NEVER },
	{ "a question of a holder with a boot", "a boot 1 since 1970-01-01T00:00:01Z boot 7",
	  "a boot 1", 1, 7 },
	{ "an empty question", "", "", 0, PG_QUESTION_NEVER },
	{ "a question of nobody", " boot 7", "", 0, 7 },
};

static void parses_question(void **state)
{
	const struct question_case *c = *state;
	struct pg_question question;
	pg_question_parse(c->text, &question);
	assert_string_equal(question.by.holder, c->holder);
	assert_int_equal(question.by.since, c->since);
	assert_true(question.boot_s == c->boot_s);
}

static void formats_the_longest_question(void **state)
{
	char text[PG_CLAIM_TEXT];
	struct pg_question question = { .by.since = 253402300799, .boot_s = PG_QUESTION_NEVER - 1 };
	struct pg_question again;
	(void)state;
	memset(question.by.holder, 'h', sizeof(question.by.holder) - 1);
	pg_question_format(&question, text);
	pg_question_parse(text, &again);
	assert_string_equal(again.by.holder, question.by.holder);
	assert_int_equal(again.by.since, question.by.since);
	assert_true(again.boot_s == question.boot_s);
}

static void a_question_counts_for_its_time(void **state)
{
	static const struct {
		const char *name;
		uint64_t boot_s, now_s;
		bool want;
	} rows[] = {
		{ "asked now", 100, 100, true },
		{ "asked as long ago as it counts", 100, 100 + PG_QUESTION_S, true },
		{ "asked before that", 100, 101 + PG_QUESTION_S, false },
		{ "of a time to come", 101, 100, false },
		{ "right after the start of the machine", 0, 1, true },
		{ "nobody knows when", PG_QUESTION_NEVER, 100, false },
	};
	(void)state;
	for (size_t i = 0; i < PG_LEN(rows); i++) {
		struct pg_question question = { .boot_s = rows[i].boot_s };
		if (pg_question_counts(&question, rows[i].now_s) != rows[i].want)
			fail_msg("%s", rows[i].name);
	}
}

int main(void)
{
	enum { TEXTS = PG_LEN(cases), QUESTIONS = PG_LEN(question_cases) };
	struct CMUnitTest tests[TEXTS + QUESTIONS + 3] = {
		cmocka_unit_test(formats),
		cmocka_unit_test(formats_the_longest_question),
		cmocka_unit_test(a_question_counts_for_its_time),
	};
	for (size_t i = 0; i < TEXTS; i++)
		tests[3 + i] = (struct CMUnitTest){ cases[i].name, parses, NULL, NULL, &cases[i] };
	for (size_t i = 0; i < QUESTIONS; i++)
		tests[3 + TEXTS + i] = (struct CMUnitTest){ question_cases[i].name, parses_question,
							    NULL, NULL, &question_cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
