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
	const char *ports;                           /* "80 443"; NULL: none */
};

static struct service_case cases[] = {
	{ "both families",
	  "{\"spec\":{\"clusterIP\":\"10.96.0.12\","
	  "\"clusterIPs\":[\"10.96.0.12\",\"fd00:96::c\"]}}",
	  { "10.96.0.12", "fd00:96::c" },
	  NULL,
	  NULL },
	{ "an old server",
	  "{\"spec\":{\"clusterIP\":\"10.96.0.12\"}}",
	  { "10.96.0.12" },
	  NULL,
	  NULL },
	{ "headless",
	  "{\"spec\":{\"clusterIP\":\"None\",\"clusterIPs\":[\"None\"]}}",
	  { NULL },
	  "dial its pods",
	  NULL },
	{ "ExternalName",
	  "{\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"db.example.com\"}}",
	  { NULL },
	  "--to db.example.com",
	  NULL },
	{ "a hostile ExternalName",
	  "{\"spec\":{\"externalName\":\"a\\u001b[2J\"}}",
	  { NULL },
	  "--to a?[2J",
	  NULL },
	{ "more than there can be",
	  "{\"spec\":{\"clusterIPs\":[\"10.0.0.1\",\"10.0.0.2\",\"10.0.0.3\",\"10.0.0.4\",\"10.0.0."
	  "5\"]}}",
	  { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4" },
	  NULL,
	  NULL },
	{ "other types",
	  "{\"spec\":{\"clusterIPs\":[7,{},null],\"clusterIP\":{}}}",
	  { NULL },
	  "dial its pods",
	  NULL },
	{ "nothing", "{}", { NULL }, "dial its pods", NULL },
	{ "ports of several protocols",
	  "{\"spec\":{\"clusterIP\":\"10.96.0.12\",\"ports\":[{\"port\":53,\"protocol\":\"UDP\"},"
	  "{\"port\":53,\"protocol\":\"TCP\"},{\"port\":80,\"targetPort\":8080},{\"port\":0},"
	  "{\"port\":65536},{\"port\":\"x\"},7]}}",
	  { "10.96.0.12" },
	  NULL,
	  "53 80" },
};

static void check_ports(const struct pg_service *s, const char *wanted)
{
	char list[64] = "";
	for (size_t i = 0; i < s->port_count; i++) {
		size_t n = strlen(list);
		snprintf(list + n, sizeof(list) - n, "%s%u", n > 0 ? " " : "", s->ports[i]);
	}
	assert_string_equal(list, wanted);
	assert_true(s->has_all_ports);
}

static void has_more_ports_than_are_kept(void **state)
{
	json_t *ports = json_array();
	struct pg_service out;
	(void)state;
	for (int i = 0; i <= PG_POD_PORTS; i++)
		json_array_append_new(ports, json_pack("{s:i}", "port", 1000 + i));
	json_t *service =
		json_pack("{s:{s:s, s:o}}", "spec", "clusterIP", "10.96.0.12", "ports", ports);
	assert_int_equal(pg_kube_service_parse(service, "db", &out, NULL), 0);
	json_decref(service);
	assert_int_equal(out.port_count, PG_POD_PORTS);
	assert_int_equal(out.ports[PG_POD_PORTS - 1], 1000 + PG_POD_PORTS - 1);
	assert_false(out.has_all_ports);
}

static void parses(void **state)
{
	const struct service_case *c = *state;
	struct pg_service out;
	struct pg_err err = { 0 };
	char text[PG_NETWORK_TEXT];
	size_t wanted = 0;
	json_t *service = json_loads(c->json, 0, NULL);
	assert_non_null(service);
	int rc = pg_kube_service_parse(service, "db", &out, &err);
	json_decref(service);
	while (wanted < PG_SERVICE_ADDRESSES && c->addresses[wanted])
		wanted++;
	assert_int_equal(rc, wanted > 0 ? 0 : -ENOENT);
	assert_int_equal(out.count, wanted);
	for (size_t i = 0; i < wanted; i++) {
		pg_network_text(&out.addresses[i], text);
		assert_string_equal(text, c->addresses[i]);
	}
	if (c->hint)
		assert_non_null(strstr(err.hint, c->hint));
	check_ports(&out, c->ports ? c->ports : "");
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 1] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, parses, NULL, NULL, &cases[i] };
	tests[PG_LEN(cases)] = (struct CMUnitTest)cmocka_unit_test(has_more_ports_than_are_kept);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
