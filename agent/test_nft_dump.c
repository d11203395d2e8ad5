#include "agent/nft_dump.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "proto/base/auto.h"

#define BYTES(s) s, sizeof(s) - 1

struct comment_case {
	const char *name, *bytes;
	size_t n;
	const char *want; /* NULL: refused */
};

static struct comment_case cases[] = {
	{ "a comment", BYTES("\x00\x06hello\0"), "hello" },
	{ "an empty comment", BYTES("\x00\x01\0"), "" },
	{ "behind another type", BYTES("\x07\x02xy\x00\x03ok\0"), "ok" },
	{ "before another type", BYTES("\x00\x03ok\0\x07\x02xy"), "ok" },
	{ "the first of two",
	  BYTES("\x00\x03"
		"ab\0\x00\x03"
		"cd\0"),
	  "ab" },
	{ "nothing", BYTES(""), NULL },
	{ "no comment among others", BYTES("\x07\x02xy"), NULL },
	{ "no NUL at the end", BYTES("\x00\x05hello"), NULL },
	{ "a NUL within", BYTES("\x00\x06he\0lo\0"), NULL },
	{ "no room for a NUL", BYTES("\x00\x00"), NULL },
	{ "length past the end", BYTES("\x00\x07hello\0"), NULL },
	{ "only a type", BYTES("\x00"), NULL },
	{ "another type past the end", BYTES("\x07\x09xy"), NULL },
};

static void parses(void **state)
{
	const struct comment_case *c = *state;
	char out[256] = "untouched";
	int code = pg_nft_parse_comment((const uint8_t *)c->bytes, c->n, out);
	assert_int_equal(code, c->want ? 0 : -EPROTO);
	assert_string_equal(out, c->want ? c->want : "untouched");
}

static void longest(void **state)
{
	(void)state;
	uint8_t bytes[2 + 255] = { 0, 255 };
	char out[256];
	memset(bytes + 2, 'a', 254);
	assert_int_equal(pg_nft_parse_comment(bytes, sizeof(bytes), out), 0);
	assert_int_equal(strlen(out), 254);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 1] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, parses, NULL, NULL, &cases[i] };
	tests[PG_LEN(cases)] = (struct CMUnitTest)cmocka_unit_test(longest);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
