#include "injector/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"

/* What was told, each line between brackets; a long one by its length. */
struct heard {
	char text[256];
	size_t n;
};

static void hear(void *ctx, const char *text, size_t size)
{
	struct heard *h = ctx;
	assert_int_equal(text[size], '\0');
	h->n += (size_t)snprintf(h->text + h->n, sizeof(h->text) - h->n,
				 size > 40 ? "[%s...%zu]" : "[%s]", size > 40 ? "" : text, size);
}

/* Feeds `n` bytes, `step` at a time. */
static void feed(const char *bytes, size_t n, size_t step, struct heard *h)
{
	struct pg_lines *l = pg_calloc(1, sizeof(*l));
	*h = (struct heard){ .n = 0 };
	for (size_t at = 0; at < n;) {
		char *room;
		size_t some = pg_lines_room(l, &room);
		assert_true(some > 0);
		some = some < step ? some : step;
		some = some < n - at ? some : n - at;
		memcpy(room, bytes + at, some);
		pg_lines_added(l, some, hear, h);
		at += some;
	}
	pg_lines_end(l, hear, h);
	free(l);
}

struct lines_case {
	const char *bytes, *want;
};
static struct lines_case cases[] = {
	{ "", "" },
	{ "one\n", "[one]" },
	{ "one\ntwo\n", "[one][two]" },
	{ "\n\n", "[][]" },
	{ "one\nand no end", "[one][and no end]" },
};

static void the_same_whole_and_byte_by_byte(void **state)
{
	const struct lines_case *c = *state;
	struct heard h;
	for (size_t step = 1; step < 8; step++) {
		feed(c->bytes, strlen(c->bytes), step, &h);
		assert_string_equal(h.text, c->want);
	}
}

/* `n` bytes without a newline between two short lines. */
static void between(size_t n, const char *want)
{
	char *bytes = pg_calloc(n + 5, 1);
	struct heard h;
	memcpy(bytes, "a\n", 2);
	memset(bytes + 2, 'x', n);
	memcpy(bytes + 2 + n, "\nb\n", 3);
	for (size_t step = 1; step <= PG_LINE_MAX; step *= 16) {
		feed(bytes, n + 5, step, &h);
		assert_string_equal(h.text, want);
	}
	free(bytes);
}

static void a_line_that_is_too_long_is_passed_over_to_its_end(void **state)
{
	(void)state;
	between(PG_LINE_MAX - 1, "[a][...65535][b]");
	between(PG_LINE_MAX, "[a][b]");
	between(3 * PG_LINE_MAX + 7, "[a][b]");
}

static void a_long_line_without_an_end_tells_nothing(void **state)
{
	static char bytes[2 * PG_LINE_MAX];
	struct heard h;
	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	feed(bytes, PG_LINE_MAX + 5, 4096, &h);
	assert_string_equal(h.text, "");
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 2] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].bytes, the_same_whole_and_byte_by_byte,
						NULL, NULL, &cases[i] };
	tests[PG_LEN(cases)] = (struct CMUnitTest)cmocka_unit_test(
		a_line_that_is_too_long_is_passed_over_to_its_end);
	tests[PG_LEN(cases) + 1] =
		(struct CMUnitTest)cmocka_unit_test(a_long_line_without_an_end_tells_nothing);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
