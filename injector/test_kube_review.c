#include "injector/kube_review.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "proto/base/auto.h"

struct access_case {
	const char *name;
	struct pg_kube_access access;
	const char *want; /* the resourceAttributes */
};
#define ATTRIBUTES(verb, resource, subresource, group, name)                                      \
	"{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SelfSubjectAccessReview\","       \
	"\"spec\":{\"resourceAttributes\":{\"namespace\":\"shop\",\"verb\":\"" verb               \
	"\",\"resource\":\"" resource "\",\"subresource\":\"" subresource "\",\"group\":\"" group \
	"\",\"name\":\"" name "\"}}}"
static struct access_case cases[] = {
	{ "a resource", { "shop", "list", "pods", "" }, ATTRIBUTES("list", "pods", "", "", "") },
	{ "a subresource",
	  { "shop", "patch", "pods/ephemeralcontainers", "web-0" },
	  ATTRIBUTES("patch", "pods", "ephemeralcontainers", "", "web-0") },
	{ "a group",
	  { "shop", "get", "deployments.apps", "web" },
	  ATTRIBUTES("get", "deployments", "", "apps", "web") },
};

static void asks_for_one_right(void **state)
{
	const struct access_case *c = *state;
	pg_auto_free char *text = pg_kube_access_text(&c->access);
	assert_string_equal(text, c->want);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases)] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, asks_for_one_right, NULL, NULL,
						&cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
