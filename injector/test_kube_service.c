#include "injector/kube_service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/base/auto.h"

struct service_case {
	const char *name, *json;
	const char *addresses[PG_SERVICE_ADDRESSES]; /* none: it is refused, */
	const char *hint;                            /* with this in the hint */
};

static struct service_case cases[] = {
	{ "both families",
	  "{\"spec\":{\"clusterIP\":\"10.96.0.12\","
	  "\"clusterIPs\":[\"10.96.0.12\",\"fd00:96::c\"]}}",
	  { "10.96.0.12", "fd00:96::c" },
	  NULL },
	{ "an old server", "{\"spec\":{\"clusterIP\":\"10.96.0.12\"}}", { "10.96.0.12" }, NULL },
	{ "headless",
	  "{\"spec\":{\"clusterIP\":\"None\",\"clusterIPs\":[\"None\"]}}",
	  { NULL },
	  "dial its pods" },
	{ "ExternalName",
	  "{\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"db.example.com\"}}",
	  { NULL },
	  "--to db.example.com" },
	{ "a hostile ExternalName",
	  "{\"spec\":{\"externalName\":\"a\\u001b[2J\"}}",
	  { NULL },
	  "--to a?[2J" },
	{ "more than there can be",
	  "{\"spec\":{\"clusterIPs\":[\"10.0.0.1\",\"10.0.0.2\",\"10.0.0.3\",\"10.0.0.4\",\"10.0.0."
	  "5\"]}}",
	  { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4" },
	  NULL },
	{ "other types",
	  "{\"spec\":{\"clusterIPs\":[7,{},null],\"clusterIP\":{}}}",
	  { NULL },
	  "dial its pods" },
	{ "nothing", "{}", { NULL }, "dial its pods" },
};

static void parses(void **state)
{
	const struct service_case *c = *state;
	struct pg_network out[PG_SERVICE_ADDRESSES];
	struct pg_err err = { 0 };
	char text[PG_NETWORK_TEXT];
	size_t count = 99, wanted = 0;
	json_t *service = json_loads(c->json, 0, NULL);
	assert_non_null(service);
	int rc = pg_kube_service_parse(service, "db", out, &count, &err);
	json_decref(service);
	while (wanted < PG_SERVICE_ADDRESSES && c->addresses[wanted])
		wanted++;
	assert_int_equal(rc, wanted > 0 ? 0 : -ENOENT);
	assert_int_equal(count, wanted);
	for (size_t i = 0; i < wanted; i++) {
		pg_network_text(&out[i], text);
		assert_string_equal(text, c->addresses[i]);
	}
	if (c->hint)
		assert_non_null(strstr(err.hint, c->hint));
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases)] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, parses, NULL, NULL, &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
