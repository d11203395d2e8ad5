#include "injector/text_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "proto/base/auto.h"

static void columns_are_as_wide_as_their_cells(void **state)
{
	static const char *const heads[] = { "POD", "BY" };
	static const char *const rows[][2] = { { "web-0", "\xc3\xa4nn@laptop" }, { "b", "-" } };
	struct pg_output out;
	struct pg_text_table t;
	char *text = NULL;
	size_t n = 0;
	(void)state;
	pg_output_init(&out, PG_FORMAT_TEXT, false, 0);
	out.results = open_memstream(&text, &n);
	pg_text_table_init(&t, heads, 2);
	for (size_t i = 0; i < PG_LEN(rows); i++)
		pg_text_table_add(&t, rows[i]);
	pg_text_table_print(&t, &out);
	pg_text_table_fini(&t);
	fclose(out.results);
	assert_string_equal(text, "POD    BY\nweb-0  \xc3\xa4nn@laptop\nb      -\n");
	out.results = stdout;
	pg_output_fini(&out);
	free(text);
}

static void ages(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *want;
	} cases[] = { { 0, "0s" },    { 119, "119s" },   { 120, "2m" },    { 7199, "119m" },
		      { 7200, "2h" }, { 172799, "47h" }, { 172800, "2d" }, { UINT64_MAX, NULL } };
	(void)state;
	for (size_t i = 0; i < PG_LEN(cases); i++) {
		char text[16];
		pg_age_text(cases[i].seconds, text);
		if (cases[i].want)
			assert_string_equal(text, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_as_wide_as_their_cells),
		cmocka_unit_test(ages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
