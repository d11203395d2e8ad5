#include "injector/port_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static const struct pg_pod plain = {
	.name = "web-0",
	.ports = { { "app", "http", 8080, true }, { "sidecar", "admin", 9901, true } },
	.port_count = 2,
};

static const struct pg_pod behind_service = {
	.name = "web-0",
	.ports = { { "app", "http", 8080, true } },
	.port_count = 1,
	.service_ports = { { 80, 8080, "web" }, { 443, 0, "tls" } },
	.service_port_count = 2,
};

struct pair_case {
	const char *name;
	const struct pg_pod *pod;
	const char *spec;
	int want;
	uint16_t port, local;
	const char *hint;
};

static struct pair_case cases[] = {
	{ "a number is itself", &plain, "8080", 0, 8080, 8080, "" },
	{ "to another port here", &plain, "8080:3000", 0, 8080, 3000, "" },
	{ "a number that nobody declares", &plain, "7000", 0, 7000, 7000, "" },
	{ "a name of a container's port", &plain, "http", 0, 8080, 8080, "" },
	{ "a name to another port here", &plain, "http:3000", 0, 8080, 3000, "" },
	{ "an unknown name lists the known ones", &plain, "grpc", -ENOENT, 0, 0,
	  "its named ports: http, admin" },
	{ "a Service's number is mapped, here it is the Service's", &behind_service, "80", 0, 8080,
	  80, "" },
	{ "a Service's port by name", &behind_service, "web:3000", 0, 8080, 3000, "" },
	{ "the pod's number is not the Service's", &behind_service, "8080", -ENOENT, 0, 0,
	  "its ports: 80 (web), 443 (tls)" },
	{ "a target port that the pod has not", &behind_service, "443", -ENOENT, 0, 0,
	  "name the pod and its port instead: podgraft redirect web-0 PORT" },
};

static void resolves(void **state)
{
	const struct pair_case *c = *state;
	struct pg_portspec spec;
	struct pg_port_pair pair = { 0 };
	struct pg_err err = { 0 };
	assert_int_equal(pg_portspec_parse(c->spec, &spec, &err), 0);
	assert_int_equal(pg_port_pair_resolve(c->pod, &spec, &pair, &err), c->want);
	assert_int_equal(pair.pod, c->port);
	assert_int_equal(pair.local, c->local);
	assert_string_equal(err.hint, c->hint);
}

static void all_leaves_out_loopback_meshes_and_repetitions(void **state)
{
	const struct pg_listens listens[] = {
		{ 9901, false }, { 8080, false }, { 8080, false }, { 15006, false }, { 6060, true },
	};
	struct pg_port_pair pairs[PG_PAIRS_MAX];
	(void)state;
	assert_int_equal(pg_port_pairs_all(&plain, NULL, listens, PG_LEN(listens), pairs), 2);
	assert_int_equal(pairs[0].pod, 8080);
	assert_int_equal(pairs[1].pod, 9901);
}

static void all_of_a_container_leaves_out_what_others_declare(void **state)
{
	const struct pg_listens listens[] = { { 9901, false }, { 8080, false }, { 5555, false } };
	struct pg_port_pair pairs[PG_PAIRS_MAX];
	(void)state;
	assert_int_equal(pg_port_pairs_all(&plain, "app", listens, PG_LEN(listens), pairs), 2);
	assert_int_equal(pairs[0].pod, 5555);
	assert_int_equal(pairs[1].pod, 8080);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 2] = {
		cmocka_unit_test(all_leaves_out_loopback_meshes_and_repetitions),
		cmocka_unit_test(all_of_a_container_leaves_out_what_others_declare),
	};
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i + 2] =
			(struct CMUnitTest){ cases[i].name, resolves, NULL, NULL, &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
