#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "proto/base/auto.h"
#include "proto/base/json_out.h"

#define BYTES(s) s, sizeof(s) - 1

static struct string_case {
	const char *name, *bytes;
	size_t n;
	const char *want;
} strings[] = {
	{ "string: empty", BYTES(""), "\"\"" },
	{ "string: plain", BYTES("nginx: master"), "\"nginx: master\"" },
	{ "string: quote and backslash", BYTES("a\"b\\c"), "\"a\\\"b\\\\c\"" },
	{ "string: short escapes", BYTES("\n\t\r\b\f"), "\"\\n\\t\\r\\b\\f\"" },
	{ "string: controls", BYTES("\x01\x1b[31m\x7f"), "\"\\u0001\\u001b[31m\\u007f\"" },
	{ "string: NUL", BYTES("a\0b"), "\"a\\u0000b\"" },
	{ "string: UTF-8 of every length", BYTES("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
	  "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"" },
	{ "string: a lone lead byte", BYTES("a\xc3"), "\"a\xef\xbf\xbd\"" },
	{ "string: a stray continuation", BYTES("\x80z"), "\"\xef\xbf\xbdz\"" },
	{ "string: overlong slash", BYTES("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
	{ "string: a surrogate", BYTES("\xed\xa0\x80"),
	  "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	{ "string: past U+10FFFF", BYTES("\xf4\x90\x80\x80"),
	  "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	{ "string: cut in a sequence before a quote", BYTES("\xe2\x82\""),
	  "\"\xef\xbf\xbd\xef\xbf\xbd\\\"\"" },
};

static void escapes(void **state)
{
	const struct string_case *c = *state;
	struct pg_buf buf = PG_BUF_INIT(1024);
	struct pg_json j = pg_json(&buf);
	pg_json_strn(&j, c->bytes, c->n);
	assert_int_equal(pg_json_end(&j), 0);
	assert_string_equal(pg_buf_str(&buf), c->want);
	pg_buf_fini(&buf);
}

static void write_all(struct pg_json *j)
{
	pg_json_open(j, '{');
	pg_json_member_str(j, "a", "x");
	pg_json_member_str(j, "b", NULL);
	pg_json_key(j, "c");
	pg_json_open(j, '[');
	pg_json_u64(j, UINT64_MAX);
	pg_json_i64(j, INT64_MIN);
	pg_json_open(j, '{');
	pg_json_close(j, '}');
	pg_json_open(j, '[');
	pg_json_close(j, ']');
	pg_json_bool(j, false);
	pg_json_close(j, ']');
	pg_json_member_bool(j, "d", true);
	pg_json_raw(j, "\"e\":1,\"f\":2");
	pg_json_member_u64(j, "g", 0);
	pg_json_close(j, '}');
}

static const char all[] = "{\"a\":\"x\",\"b\":null,\"c\":[18446744073709551615,"
			  "-9223372036854775808,{},[],false],\"d\":true,\"e\":1,\"f\":2,\"g\":0}";

static void commas_are_placed(void **state)
{
	(void)state;
	struct pg_buf buf = PG_BUF_INIT(1024);
	struct pg_json j = pg_json(&buf);
	write_all(&j);
	assert_int_equal(pg_json_end(&j), 0);
	assert_string_equal(pg_buf_str(&buf), all);
	pg_buf_fini(&buf);
}

static void a_full_buffer_is_remembered(void **state)
{
	(void)state;
	for (size_t max = 0; max < strlen(all); max++) {
		struct pg_buf buf = PG_BUF_INIT(max);
		struct pg_json j = pg_json(&buf);
		write_all(&j);
		assert_int_equal(pg_json_end(&j), -ENOBUFS);
		assert_memory_equal(pg_buf_str(&buf), all, buf.len);
		pg_buf_fini(&buf);
	}
}

int main(void)
{
	struct CMUnitTest tests[2 + PG_LEN(strings)] = {
		cmocka_unit_test(commas_are_placed),
		cmocka_unit_test(a_full_buffer_is_remembered),
	};
	for (size_t i = 0; i < PG_LEN(strings); i++)
		tests[2 + i] =
			(struct CMUnitTest){ strings[i].name, escapes, NULL, NULL, &strings[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
