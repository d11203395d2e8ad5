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

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 1] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, parses, NULL, NULL, &cases[i] };
	tests[PG_LEN(cases)] = (struct CMUnitTest)cmocka_unit_test(formats);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
