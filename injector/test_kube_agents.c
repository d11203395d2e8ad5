#include "injector/kube_agents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "injector/kube_json.h"

#define KEY "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=" /* bytes 1 to 32 */
#define ARGS(name, uid, key)                                           \
	"[\"agent\",\"--laptop-key\",\"" key "\",\"--pod-uid\",\"" uid \
	"\",\"--container\",\"" name "\",\"--profile\",\"redirect\",\"--idle\",\"30m\"]"
#define RUNNING "{\"running\":{\"startedAt\":\"2026-11-22T16:20:13Z\"}}"
#define ENDED                                                                       \
	"{\"terminated\":{\"exitCode\":137,\"startedAt\":\"2026-11-22T16:20:13Z\"," \
	"\"finishedAt\":\"2026-11-22T16:21:00Z\"}}"

struct agent_case {
	const char *name, *args, *state;
	bool want;
	enum pg_agent_life life;
	int64_t since_s;
	const char *phase; /* of the pod; NULL: Running */
};
static struct agent_case cases[] = {
	{ "one that runs", ARGS("podgraft-x", "uid-1", KEY), RUNNING, true, PG_AGENT_RUNS,
	  1795364413, NULL },
	{ "one that was killed", ARGS("podgraft-x", "uid-1", KEY), ENDED, true, PG_AGENT_ENDED,
	  1795364413, NULL },
	{ "one that starts", ARGS("podgraft-x", "uid-1", KEY), "{\"waiting\":{}}", true,
	  PG_AGENT_STARTING, 0, NULL },
	{ "one that waits in a pod that has ended", ARGS("podgraft-x", "uid-1", KEY),
	  "{\"waiting\":{}}", true, PG_AGENT_ENDED, 0, "Succeeded" },
	{ "one that waits in a pod that has failed", ARGS("podgraft-x", "uid-1", KEY),
	  "{\"waiting\":{}}", true, PG_AGENT_ENDED, 0, "Failed" },
	{ "another container's name", ARGS("podgraft-y", "uid-1", KEY), RUNNING, false, 0, 0,
	  NULL },
	{ "another pod's uid", ARGS("podgraft-x", "uid-2", KEY), RUNNING, false, 0, 0, NULL },
	{ "no key", ARGS("podgraft-x", "uid-1", "AQID"), RUNNING, false, 0, 0, NULL },
	{ "a debug container", "[\"sh\"]", RUNNING, false, 0, 0, NULL },
	{ "no words", "null", RUNNING, false, 0, 0, NULL },
	{ "words that are none", "[1,{},null]", RUNNING, false, 0, 0, NULL },
};

static void reads(void **state)
{
	const struct agent_case *c = *state;
	struct pg_agent_seen a = { .exit_code = 7 };
	char text[2048];
	snprintf(
		text, sizeof(text),
		"{\"metadata\":{\"name\":\"web\",\"namespace\":\"dev\",\"uid\":\"uid-1\"},\"spec\":"
		"{\"ephemeralContainers\":[{\"name\":\"podgraft-x\",\"args\":%s}]},\"status\":{"
		"\"phase\":\"%s\",\"ephemeralContainerStatuses\":[{\"name\":\"podgraft-x\","
		"\"state\":%s}]}}",
		c->args, c->phase ? c->phase : "Running", c->state);
	json_t *pod = pg_json_parse(text, strlen(text), NULL);
	assert_non_null(pod);
	const json_t *container = json_array_get(pg_json_at(pod, "spec.ephemeralContainers"), 0);
	assert_int_equal(pg_kube_agent_read(pod, container, &a), c->want);
	json_decref(pod);
	if (!c->want) {
		assert_int_equal(a.exit_code, 7); /* untouched */
		return;
	}
	assert_string_equal(a.ns, "dev");
	assert_string_equal(a.pod, "web");
	assert_string_equal(a.container, "podgraft-x");
	assert_string_equal(a.profile, "redirect");
	assert_int_equal(a.laptop_key[31], 32);
	assert_int_equal(a.life, c->life);
	assert_int_equal(a.since_s, c->since_s);
	assert_int_equal(a.exit_code, strcmp(c->state, ENDED) == 0 ? 137 : 0);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases)] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, reads, NULL, NULL, &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
