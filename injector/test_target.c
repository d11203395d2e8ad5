#include "injector/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

struct target_case {
	const char *text;
	int want;
	enum pg_target_kind kind;
	const char *name;
};
static struct target_case cases[] = {
	{ "web-0", 0, PG_KIND_POD, "web-0" },
	{ "pod/web-0", 0, PG_KIND_POD, "web-0" },
	{ "po/web-0", 0, PG_KIND_POD, "web-0" },
	{ "pods/a.b", 0, PG_KIND_POD, "a.b" },
	{ "deploy/web", 0, PG_KIND_DEPLOYMENT, "web" },
	{ "Deployment/web", 0, PG_KIND_DEPLOYMENT, "web" },
	{ "deployments.apps/web", 0, PG_KIND_DEPLOYMENT, "web" },
	{ "deployment.v1.apps/web", 0, PG_KIND_DEPLOYMENT, "web" },
	{ "deployments.extensions/web", -EINVAL, 0, NULL },
	{ "pods.apps/web", -EINVAL, 0, NULL },
	{ "sts/db", 0, PG_KIND_STATEFULSET, "db" },
	{ "ds/agent", 0, PG_KIND_DAEMONSET, "agent" },
	{ "rs/web-6f", 0, PG_KIND_REPLICASET, "web-6f" },
	{ "rc/old", 0, PG_KIND_REPLICATIONCONTROLLER, "old" },
	{ "job/migrate", 0, PG_KIND_JOB, "migrate" },
	{ "jobs.batch/migrate", 0, PG_KIND_JOB, "migrate" },
	{ "svc/web", 0, PG_KIND_SERVICE, "web" },
	{ "", -EINVAL, 0, NULL },
	{ "/web", -EINVAL, 0, NULL },
	{ "pod/", -EINVAL, 0, NULL },
	{ "cronjob/x", -EINVAL, 0, NULL },
	{ "pod/a/b", -EINVAL, 0, NULL },
	{ "pod/../secrets", -EINVAL, 0, NULL },
	{ "Web", -EINVAL, 0, NULL },
	{ "-web", -EINVAL, 0, NULL },
	{ "web?x", -EINVAL, 0, NULL },
	{ "pod web", -EINVAL, 0, NULL },
};

static void parses(void **state)
{
	const struct target_case *c = *state;
	struct pg_target t = { .kind = PG_KIND_COUNT, .name = "untouched" };
	struct pg_err err = { .code = 0 };
	assert_int_equal(pg_target_parse(c->text, &t, &err), c->want);
	assert_int_equal(t.kind, c->want ? PG_KIND_COUNT : c->kind);
	assert_string_equal(t.name, c->want ? "untouched" : c->name);
	if (c->want) {
		assert_int_equal(err.whose, PG_USER);
		assert_true(err.hint[0] != '\0');
	}
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases)] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].text, parses, NULL, NULL, &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
