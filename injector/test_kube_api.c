#include "injector/kube_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "injector/kube_log.h"
#include "injector/kube_watch.h"
#include "injector/read_file.h"

/* What of kube_api, kube_watch and kube_log is pure; the rest is shown on a real cluster. */

static void waits_longer_each_time(void **state)
{
	(void)state;
	assert_int_equal(pg_kube_backoff_ms(0, 0, 0), 400);
	assert_int_equal(pg_kube_backoff_ms(0, 0, UINT32_MAX), 600);
	assert_in_range(pg_kube_backoff_ms(1, 0, UINT32_MAX / 2), 990, 1010);
	assert_int_equal(pg_kube_backoff_ms(4, 0, 0), 6400);
	assert_int_equal(pg_kube_backoff_ms(5, 0, 0), 12000);
	assert_int_equal(pg_kube_backoff_ms(4000000000u, 0, UINT32_MAX), 18000);
}

static void never_comes_before_the_server_says(void **state)
{
	(void)state;
	assert_int_equal(pg_kube_backoff_ms(0, 5, 0), 5000);
	assert_int_equal(pg_kube_backoff_ms(9, 5, UINT32_MAX), 6000);
	assert_true(pg_kube_backoff_ms(0, UINT64_MAX, UINT32_MAX) < 2 * 3600 * 1000);
}

static void escapes(void **state)
{
	struct pg_buf out = PG_BUF_INIT(64);
	(void)state;
	assert_int_equal(pg_kube_escape(&out, "a-b._~9 in (x,y),!z=\xc3\xa9"), 0);
	assert_string_equal(pg_buf_str(&out), "a-b._~9%20in%20%28x%2Cy%29%2C%21z%3D%C3%A9");
	assert_int_equal(pg_kube_escape(&out, "0123456789abcdef"), 0);
	assert_int_equal(pg_kube_escape(&out, "0123456789abcdef"), -ENOBUFS);
	pg_buf_fini(&out);
}

static void read_event(const char *file, struct pg_kube_event *out)
{
	char path[128];
	struct pg_buf text = PG_BUF_INIT(64 << 10);
	snprintf(path, sizeof(path), "fuzz_kube_status.corpus/%s", file);
	assert_int_equal(pg_read_file(path, &text, NULL), 0);
	assert_int_equal(pg_kube_event_parse(pg_buf_str(&text), out), 0);
	pg_buf_fini(&text);
}

static void reads_events_of_a_real_watch(void **state)
{
	struct pg_kube_event ev;
	(void)state;
	read_event("watch-added.json", &ev);
	assert_int_equal(ev.type, PG_KUBE_EV_CHANGED);
	assert_non_null(ev.object);
	assert_true(ev.rv[0] != '\0');
	json_decref(ev.object);
	read_event("watch-bookmark.json", &ev);
	assert_int_equal(ev.type, PG_KUBE_EV_BOOKMARK);
	assert_null(ev.object);
	assert_string_equal(ev.rv, "1885");
	read_event("watch-expired.json", &ev);
	assert_int_equal(ev.type, PG_KUBE_EV_ERROR);
	assert_null(ev.object);
	assert_int_equal(ev.status.http, 410); /* though HTTP said 200 */
}

static void refuses_what_is_no_event(void **state)
{
	static const char *const lines[] = { "",
					     "{",
					     "[]",
					     "{\"type\":\"ADDED\"}",
					     "{\"object\":{}}",
					     "{\"type\":7,\"object\":{}}",
					     "{\"type\":\"ADDED\",\"object\":[]}" };
	struct pg_kube_event ev = { .type = PG_KUBE_EV_OTHER, .rv = "untouched" };
	(void)state;
	for (size_t i = 0; i < PG_LEN(lines); i++) {
		assert_int_equal(pg_kube_event_parse(lines[i], &ev), -EPROTO);
		assert_string_equal(ev.rv, "untouched");
	}
	assert_int_equal(pg_kube_event_parse("{\"type\":\"NEW\",\"object\":{}}", &ev), 0);
	assert_int_equal(ev.type, PG_KUBE_EV_OTHER);
	assert_null(ev.object);
}

struct early_case {
	int http;
	const char *message;
	bool want;
};
static struct early_case early[] = {
	{ 204, "", true },
	{ 400, "container \"x\" in pod \"y\" is waiting to start: ContainerCreating", true },
	{ 400, "container \"x\" in pod \"y\" is not available", true },
	{ 400, "container \"x\" in pod \"y\" is terminated", true },
	{ 400, "container \"x\" in pod \"y\" is waiting to start - no logs yet", true },
	{ 400, "container zz is not valid for pod web-0", false },
	{ 404, "the server could not find the requested resource ( pods/log web-0)", true },
	{ 404, "pods \"web-0\" not found", false },
	{ 403, "pods \"web-0\" is forbidden", false },
	{ 500, "Get \"https://NODE:10250/containerLogs/\": connection refused", true },
	{ 503, "", true },
	{ 302, "", false },
};

static void tells_early_from_never(void **state)
{
	(void)state;
	for (size_t i = 0; i < PG_LEN(early); i++) {
		struct pg_kube_status st = { .http = early[i].http };
		snprintf(st.message, sizeof(st.message), "%s", early[i].message);
		if (pg_kube_log_is_early(&st) != early[i].want)
			fail_msg("%d '%s'", early[i].http, early[i].message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_longer_each_time),
		cmocka_unit_test(never_comes_before_the_server_says),
		cmocka_unit_test(escapes),
		cmocka_unit_test(reads_events_of_a_real_watch),
		cmocka_unit_test(refuses_what_is_no_event),
		cmocka_unit_test(tells_early_from_never),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
