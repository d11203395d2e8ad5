#include "injector/to_resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/base/auto.h"

static struct ports_case {
	const char *name;
	struct pg_service service;
	struct pg_wants wants;
	const char *what, *hint; /* NULL: it fits */
} cases[] = {
	{ "its port",
	  { .ports = { 5432 }, .port_count = 1, .has_all_ports = true },
	  { .items = { { true, 5432, { 0 } } }, .count = 1 },
	  NULL,
	  NULL },
	{ "one of its ports beside another's",
	  { .ports = { 80, 5432 }, .port_count = 2, .has_all_ports = true },
	  { .items = { { true, 6379, { 0 } }, { true, 5432, { 0 } } }, .count = 2 },
	  NULL,
	  NULL },
	{ "none of its ports",
	  { .ports = { 5432, 9187 }, .port_count = 2, .has_all_ports = true },
	  { .items = { { true, 80, { 0 } }, { true, 81, { 0 } } }, .count = 2 },
	  "Service 'db' has no such port: 80, 81",
	  "name one of its own ports with --outgoing: 5432, 9187" },
	{ "the pod's own port is another thing",
	  { .ports = { 5432 }, .port_count = 1, .has_all_ports = true },
	  { .items = { { false, 5432, { 0 } }, { true, 80, { 0 } } }, .count = 2 },
	  "Service 'db' has no such port: 80",
	  "name one of its own ports with --outgoing: 5432" },
	{ "it has more ports than are known",
	  { .ports = { 5432 }, .port_count = 1, .has_all_ports = false },
	  { .items = { { true, 80, { 0 } } }, .count = 1 },
	  NULL,
	  NULL },
	{ "it has none of TCP",
	  { .port_count = 0, .has_all_ports = true },
	  { .items = { { true, 53, { 0 } } }, .count = 1 },
	  "Service 'db' has no such port: 53",
	  "it has no port of TCP: name another with --to" },
};

static void checks_ports(void **state)
{
	const struct ports_case *c = *state;
	struct pg_err err = { 0 };
	int rc = pg_to_check_ports(&c->service, "db", &c->wants, &err);
	assert_int_equal(rc, c->what ? -ENOENT : 0);
	assert_string_equal(err.what, c->what ? c->what : "");
	assert_string_equal(err.hint, c->hint ? c->hint : "");
	if (c->what)
		assert_int_equal(err.whose, PG_USER);
}

static void lists_as_many_ports_as_fit(void **state)
{
	struct pg_wants wants = { .items = { { true, 80, { 0 } } }, .count = 1 };
	struct pg_service service = { .has_all_ports = true, .port_count = PG_POD_PORTS };
	struct pg_err err = { 0 };
	(void)state;
	for (size_t i = 0; i < PG_POD_PORTS; i++)
		service.ports[i] = (uint16_t)(10000 + i);
	assert_int_equal(pg_to_check_ports(&service, "db", &wants, &err), -ENOENT);
	assert_non_null(strstr(err.hint, ": 10000, 10001, "));
	assert_string_equal(strrchr(err.hint, ' '), " 10012");
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 1] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] =
			(struct CMUnitTest){ cases[i].name, checks_ports, NULL, NULL, &cases[i] };
	tests[PG_LEN(cases)] = (struct CMUnitTest)cmocka_unit_test(lists_as_many_ports_as_fit);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
