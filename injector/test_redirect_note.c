#include "injector/redirect_note.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_event.h"
#include "injector/kube_json.h"

struct note_case {
	const char *name;
	struct pg_redirect_want items[3];
	size_t count;
	bool over;
	const char *want;
};
static struct note_case cases[] = {
	{ "one port", { { .pod_port = 8080 } }, 1, false, "ann@laptop redirects port 8080" },
	{ "two ports, over",
	  { { .pod_port = 8080 }, { .pod_port = 9090 } },
	  2,
	  true,
	  "ann@laptop redirects ports 8080, 9090 no longer" },
	{ "outgoing",
	  { { .pod_port = 5432, .outgoing = true } },
	  1,
	  false,
	  "ann@laptop redirects the pod's connections to port 5432 of others" },
	{ "both ways",
	  { { .pod_port = 5432, .outgoing = true },
	    { .pod_port = 8080 },
	    { .pod_port = 443, .outgoing = true } },
	  3,
	  false,
	  "ann@laptop redirects port 8080 and the pod's connections to ports 5432, 443 of others" },
};

static void tells(void **state)
{
	const struct note_case *c = *state;
	static struct pg_wants wants;
	char text[PG_NOTE_MAX];
	wants.count = c->count;
	memcpy(wants.items, c->items, sizeof(c->items));
	pg_redirect_note_text(&wants, "ann@laptop", c->over, text);
	assert_string_equal(text, c->want);
}

static void many_ports_fit_and_none_is_cut(void **state)
{
	static struct pg_wants wants;
	char text[PG_NOTE_MAX];
	(void)state;
	wants.count = PG_PAIRS_MAX;
	for (size_t i = 0; i < wants.count; i++)
		wants.items[i] = (struct pg_redirect_want){ .pod_port = 65535, .outgoing = i & 1 };
	pg_redirect_note_text(&wants, "ann@laptop", true, text);
	assert_non_null(strstr(text, " 65535, ... and the pod's connections to ports 65535,"));
	assert_non_null(strstr(text, " 65535, ... of others no longer"));
}

static void the_event_is_about_the_pod(void **state)
{
	struct pg_pod pod = { .ns = "dev", .name = "web-0", .uid = "uid-1" };
	char *text = pg_kube_event_text(&pod, "PodgraftRedirect", "a \"quoted\" word", 1795364413);
	(void)state;
	assert_non_null(text);
	json_t *event = pg_json_parse(text, strlen(text), NULL);
	assert_string_equal(pg_json_str(event, "involvedObject.uid"), "uid-1");
	assert_string_equal(pg_json_str(event, "involvedObject.kind"), "Pod");
	assert_string_equal(pg_json_str(event, "metadata.namespace"), "dev");
	assert_string_equal(pg_json_str(event, "reason"), "PodgraftRedirect");
	assert_string_equal(pg_json_str(event, "message"), "a \"quoted\" word");
	assert_string_equal(pg_json_str(event, "firstTimestamp"), "2026-11-22T16:20:13Z");
	json_decref(event);
	free(text);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 2] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, tells, NULL, NULL, &cases[i] };
	tests[PG_LEN(cases)] = (struct CMUnitTest)cmocka_unit_test(many_ports_fit_and_none_is_cut);
	tests[PG_LEN(cases) + 1] = (struct CMUnitTest)cmocka_unit_test(the_event_is_about_the_pod);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
