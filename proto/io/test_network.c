#include "proto/io/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/base/auto.h"

struct parse_case {
	const char *text;
	const char *shown; /* NULL: it is refused */
};

static struct parse_case parse_cases[] = {
	{ "10.0.0.7", "10.0.0.7" },
	{ "10.0.0.7/32", "10.0.0.7" },
	{ "10.1.2.3/8", "10.0.0.0/8" },
	{ "10.255.255.255/9", "10.128.0.0/9" },
	{ "0.0.0.0/0", "0.0.0.0/0" },
	{ "fd00::7", "fd00::7" },
	{ "fd00::ffff:1/127", "fd00::ffff:0/127" },
	{ "::/0", "::/0" },
	{ "::ffff:10.0.0.7", "10.0.0.7" },
	{ "::ffff:10.0.0.0/104", "10.0.0.0/8" },
	{ "::ffff:10.0.0.0/95", "::fffe:0:0/95" },
	{ "", NULL },
	{ "10.0.0", NULL },
	{ "10.0.0.256", NULL },
	{ "10.0.0.0/33", NULL },
	{ "10.0.0.0/", NULL },
	{ "10.0.0.0/-1", NULL },
	{ "10.0.0.0/8/8", NULL },
	{ "fd00::/129", NULL },
	{ "/8", NULL },
	{ "db.example.com", NULL },
	{ "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL },
};

static void parses(void **state)
{
	const struct parse_case *c = *state;
	struct pg_network n = { .version = 9 };
	char text[PG_NETWORK_TEXT];
	int code = pg_network_parse(c->text, &n);
	assert_int_equal(code, c->shown ? 0 : -EINVAL);
	if (!c->shown) {
		assert_int_equal(n.version, 9);
		return;
	}
	pg_network_text(&n, text);
	assert_string_equal(text, c->shown);
}

static void ranges(void **state)
{
	static const struct {
		const char *network, *first, *last;
	} rows[] = {
		{ "10.1.2.3", "10.1.2.3", "10.1.2.3" },
		{ "10.128.0.0/9", "10.128.0.0", "10.255.255.255" },
		{ "0.0.0.0/0", "0.0.0.0", "255.255.255.255" },
		{ "fd00::/127", "fd00::", "fd00::1" },
		{ "::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
	};
	(void)state;
	for (size_t i = 0; i < PG_LEN(rows); i++) {
		struct pg_network n, first, last;
		uint8_t a[16], b[16];
		assert_int_equal(pg_network_parse(rows[i].network, &n), 0);
		assert_int_equal(pg_network_parse(rows[i].first, &first), 0);
		assert_int_equal(pg_network_parse(rows[i].last, &last), 0);
		pg_network_range(&n, a, b);
		assert_memory_equal(a, first.address, 16);
		assert_memory_equal(b, last.address, 16);
	}
}

/* What is left has no address twice, whatever the order. */
static void tidies(void **state)
{
	static const struct {
		const char *given[5], *left[5];
	} rows[] = {
		{ { "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3" }, { "10.0.0.0/8" } },
		{ { "10.1.2.3", "10.1.0.0/16", "10.0.0.0/8" }, { "10.0.0.0/8" } },
		{ { "10.1.2.3", "10.1.2.3", "10.1.2.4" }, { "10.1.2.3", "10.1.2.4" } },
		{ { "10.1.2.3", "fd00::1", "11.0.0.0/8", "10.0.0.0/7" },
		  { "fd00::1", "10.0.0.0/7" } },
		{ { "::/0", "10.1.2.3", "fd00::1" }, { "::/0", "10.1.2.3" } },
		{ { NULL }, { NULL } },
	};
	(void)state;
	for (size_t i = 0; i < PG_LEN(rows); i++) {
		struct pg_network list[5];
		char text[PG_NETWORK_TEXT];
		size_t n = 0, k = 0;
		for (; rows[i].given[n]; n++)
			assert_int_equal(pg_network_parse(rows[i].given[n], &list[n]), 0);
		n = pg_networks_tidy(list, n);
		for (; rows[i].left[k]; k++) {
			assert_true(k < n);
			pg_network_text(&list[k], text);
			assert_string_equal(text, rows[i].left[k]);
		}
		assert_int_equal(n, k);
	}
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(parse_cases) + 2] = { 0 };
	for (size_t i = 0; i < PG_LEN(parse_cases); i++)
		tests[i] = (struct CMUnitTest){ parse_cases[i].text, parses, NULL, NULL,
						&parse_cases[i] };
	tests[PG_LEN(parse_cases)] = (struct CMUnitTest)cmocka_unit_test(ranges);
	tests[PG_LEN(parse_cases) + 1] = (struct CMUnitTest)cmocka_unit_test(tidies);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
