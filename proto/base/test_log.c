#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/log.h"

/* What a log of `level` wrote after `write_lines`; the caller frees it. */
static char *written(enum pg_level level, void (*write_lines)(const struct pg_log *log))
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);
	assert_non_null(to);
	struct pg_log log = { .level = level, .to = to, .prefix = "agent: " };
	write_lines(&log);
	fclose(to);
	return text;
}

static void a_line_of_each_level(const struct pg_log *log)
{
	pg_log(log, PG_ERROR, "error %d", 1);
	pg_log(log, PG_WARN, "warning");
	pg_log(log, PG_INFO, "note");
	pg_log(log, PG_DEBUG, "detail");
}

static void drops_what_is_more_talkative(void **state)
{
	(void)state;
	char *text = written(PG_WARN, a_line_of_each_level);
	assert_string_equal(text, "agent: error 1\nagent: warning\n");
	free(text);
	text = written(PG_QUIET, a_line_of_each_level);
	assert_string_equal(text, "");
	free(text);
	pg_log(NULL, PG_ERROR, "nobody listens");
}

static void hostile_lines(const struct pg_log *log)
{
	char line[3000];
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	pg_log(log, PG_INFO, "name %s", "a\x1b[31m\nforged: line");
	pg_log(log, PG_INFO, "%s", line);
}

static void a_peer_can_neither_steer_nor_forge_nor_flood(void **state)
{
	(void)state;
	char *text = written(PG_INFO, hostile_lines);
	const char *first = "agent: name a?[31m?forged: line\n";
	assert_memory_equal(text, first, strlen(first));
	assert_true(strlen(text) < 1200);
	assert_ptr_equal(strchr(text + strlen(first), '\n'), text + strlen(text) - 1);
	free(text);
}

static void rates_are_counted_per_period(void **state)
{
	(void)state;
	struct pg_quota r = { 0 };
	uint64_t now_ms = 5000;
	assert_int_equal(pg_quota_pass(&r, 2, 1000, now_ms), 1);
	assert_int_equal(pg_quota_pass(&r, 2, 1000, now_ms + 1), 1);
	assert_int_equal(pg_quota_pass(&r, 2, 1000, now_ms + 2), 0);
	assert_int_equal(pg_quota_pass(&r, 2, 1000, now_ms + 999), 0);
	assert_int_equal(pg_quota_pass(&r, 2, 1000, now_ms + 1000), 3);
	assert_int_equal(pg_quota_pass(&r, 2, 1000, now_ms + 1001), 1);
	r.dropped = UINT32_MAX - 2;
	for (int i = 0; i < 5; i++)
		assert_int_equal(pg_quota_pass(&r, 2, 1000, now_ms + 1002), 0);
	assert_int_equal(pg_quota_pass(&r, 2, 1000, now_ms + 9000), UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drops_what_is_more_talkative),
		cmocka_unit_test(a_peer_can_neither_steer_nor_forge_nor_flood),
		cmocka_unit_test(rates_are_counted_per_period),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
