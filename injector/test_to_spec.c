#include "injector/to_spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/base/auto.h"

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct spec_case {
	const char *text;
	int kind; /* -1: refused */
	const char *name, *ns;
};

static struct spec_case cases[] = {
	{ "10.0.0.7", PG_TO_NETWORK, "10.0.0.7", "" },
	{ "10.0.0.0/8", PG_TO_NETWORK, "10.0.0.0/8", "" },
	{ "fd00::7", PG_TO_NETWORK, "fd00::7", "" },
	{ "::/0", PG_TO_NETWORK, "::/0", "" },
	{ "svc/db", PG_TO_SERVICE, "db", "" },
	{ "SVC/db", PG_TO_SERVICE, "db", "" },
	{ "service/db.shop", PG_TO_SERVICE, "db", "shop" },
	{ "services/db-0", PG_TO_SERVICE, "db-0", "" },
	{ "svc/" A63 "." A63, PG_TO_SERVICE, A63, A63 },
	{ "db.shop.svc", PG_TO_SERVICE, "db", "shop" },
	{ "db.shop.svc.", PG_TO_SERVICE, "db", "shop" },
	{ "db.shop.svc.cluster.local", PG_TO_SERVICE, "db", "shop" },
	{ "DB.shop.SVC.cluster.LOCAL.", PG_TO_SERVICE, "db", "shop" },
	{ "db-0.db.shop.svc.cluster.local", PG_TO_HOST, "db-0.db.shop.svc.cluster.local", "" },
	{ "shop.svc", PG_TO_HOST, "shop.svc", "" },
	{ "db", PG_TO_HOST, "db", "" },
	{ "db.example.com", PG_TO_HOST, "db.example.com", "" },
	{ "db.example.com.", PG_TO_HOST, "db.example.com", "" },
	{ "4shared.com", PG_TO_HOST, "4shared.com", "" },
	{ "", -1, "", "" },
	{ ".", -1, "", "" },
	{ "a..b", -1, "", "" },
	{ "-a.b", -1, "", "" },
	{ "a_b", -1, "", "" },
	{ A63 "a", -1, "", "" },
	{ "10.0.0", -1, "", "" },
	{ "10.0.0.256", -1, "", "" },
	{ "10.0.0.0/33", -1, "", "" },
	{ "fd00::/129", -1, "", "" },
	{ "fd00:::1", -1, "", "" },
	{ "db:5432", -1, "", "" },
	{ "svc/", -1, "", "" },
	{ "svc/a.b.c", -1, "", "" },
	{ "svc/../pods", -1, "", "" },
	{ "svc/a/b", -1, "", "" },
	{ "pod/web", -1, "", "" },
	{ "http://db", -1, "", "" },
};

static void parses(void **state)
{
	const struct spec_case *c = *state;
	struct pg_err err = { 0 };
	struct pg_to_spec spec = { .ns = "?" };
	char text[PG_NETWORK_TEXT];
	int rc = pg_to_spec_parse(c->text, &spec, &err);
	if (c->kind < 0) {
		assert_int_equal(rc, -EINVAL);
		assert_int_equal(err.whose, PG_USER);
		assert_true(err.hint[0] != '\0');
		assert_string_equal(spec.ns, "?");
		return;
	}
	assert_int_equal(rc, 0);
	assert_int_equal(spec.kind, c->kind);
	assert_string_equal(spec.ns, c->ns);
	if (c->kind == PG_TO_NETWORK)
		pg_network_text(&spec.network, text);
	assert_string_equal(c->kind == PG_TO_NETWORK ? text : spec.name, c->name);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases)] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].text[0] ? cases[i].text : "nothing",
						parses, NULL, NULL, &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
