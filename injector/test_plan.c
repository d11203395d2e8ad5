#include "injector/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A pod on which everything works, for somebody who may do all that is needed. */
static struct pg_plan good_plan(void)
{
	struct pg_plan p = {
		.ns = "shop",
		.user = "ann",
		.is_pod_known = true,
		.pod = { .name = "web-0", .node = "n1" },
		.os = "linux",
		.kernel = "6.1.0-18-amd64",
		.rights = { { "get", "pods", "to find the pod", true, PG_PLAN_YES },
			    { "patch", "pods/ephemeralcontainers", "to graft", true, PG_PLAN_YES },
			    { "watch", "pods", "to wait", false, PG_PLAN_NO } },
		.right_count = 3,
	};
	for (int i = 0; i < PG_PROFILE_COUNT; i++)
		p.profiles[i].answer = PG_PLAN_YES;
	return p;
}

static void expect(const struct pg_plan *p, enum pg_profile profile, enum pg_plan_answer want,
		   enum pg_whose whose, const char *says)
{
	struct pg_err err = { .code = 0 };
	assert_int_equal(pg_plan_judge(p, profile, &err), want);
	assert_int_equal(pg_plan_judge(p, profile, NULL), want);
	if (want == PG_PLAN_YES) {
		assert_int_equal(err.code, 0);
		return;
	}
	assert_int_equal(err.whose, whose);
	assert_non_null(strstr(err.what, says));
	assert_true(err.hint[0]);
}

static void what_only_helps_stops_nothing(void **state)
{
	struct pg_plan p = good_plan();
	(void)state;
	expect(&p, PG_PROFILE_REDIRECT, PG_PLAN_YES, PG_US, "");
	expect(&p, PG_PROFILE_INSPECT, PG_PLAN_YES, PG_US, "");
	assert_false(pg_plan_lacks_right(&p));
}

static void the_nodes_network_stops_redirects_alone(void **state)
{
	struct pg_plan p = good_plan();
	(void)state;
	p.pod.host_network = true;
	expect(&p, PG_PROFILE_REDIRECT, PG_PLAN_NO, PG_TARGET, "pod 'web-0' has no network");
	expect(&p, PG_PROFILE_FORWARD, PG_PLAN_YES, PG_US, "");
}

static void an_old_kernel_stops_redirects_alone(void **state)
{
	struct pg_plan p = good_plan();
	(void)state;
	snprintf(p.kernel, sizeof(p.kernel), "4.18.0-553.el8");
	expect(&p, PG_PROFILE_REDIRECT, PG_PLAN_NO, PG_TARGET, "has Linux 4.18.0-553.el8");
	expect(&p, PG_PROFILE_INSPECT, PG_PLAN_YES, PG_US, "");
}

static void another_system_stops_all(void **state)
{
	struct pg_plan p = good_plan();
	(void)state;
	snprintf(p.os, sizeof(p.os), "windows");
	for (int i = 0; i < PG_PROFILE_COUNT; i++)
		expect(&p, (enum pg_profile)i, PG_PLAN_NO, PG_TARGET, "node with windows");
}

static void missing_rights_are_named(void **state)
{
	struct pg_plan p = good_plan();
	(void)state;
	p.rights[0].granted = p.rights[1].granted = PG_PLAN_NO;
	assert_true(pg_plan_lacks_right(&p));
	expect(&p, PG_PROFILE_FORWARD, PG_PLAN_NO, PG_CLUSTER,
	       "in namespace 'shop' these rights are missing: get pods, patch "
	       "pods/ephemeralcontainers");
}

static void unknown_rights_leave_it_open(void **state)
{
	struct pg_plan p = good_plan();
	(void)state;
	p.rights[0].granted = PG_PLAN_UNKNOWN;
	expect(&p, PG_PROFILE_FORWARD, PG_PLAN_UNKNOWN, PG_CLUSTER, "get pods");
}

static void what_admission_says_is_passed_on(void **state)
{
	struct pg_plan p = good_plan();
	struct pg_plan_profile *redirect = &p.profiles[PG_PROFILE_REDIRECT];
	(void)state;
	redirect->answer = PG_PLAN_NO;
	pg_fail(&redirect->why, -EACCES, "no grafts on Fridays.");
	pg_hint(&redirect->why, PG_CLUSTER, "wait");
	expect(&p, PG_PROFILE_REDIRECT, PG_PLAN_NO, PG_CLUSTER, "no grafts on Fridays");
	expect(&p, PG_PROFILE_FORWARD, PG_PLAN_YES, PG_US, "");
}

struct kernel_case {
	const char *kernel;
	bool want;
};
static struct kernel_case kernels[] = {
	{ "4.19.0", true },
	{ "4.18.0-553.el8_10.x86_64", false },
	{ "3.10.0-1160", false },
	{ "5.4", true },
	{ "6.18.44-fc-v769", true },
	{ "10.0.0", true },
	{ "", true },
	{ "linux", true },
	{ "4", true },
	{ "4.x", true },
	{ "99999999999999999999.1", true },
};

static void kernels_are_read(void **state)
{
	const struct kernel_case *c = *state;
	assert_int_equal(pg_plan_kernel_is_enough(c->kernel), c->want);
}

static void nothing_to_allow_is_no_manifest(void **state)
{
	struct pg_plan p = good_plan();
	struct pg_buf out = PG_BUF_INIT(8192);
	(void)state;
	assert_int_equal(pg_plan_manifest(&p, PG_PROFILE_REDIRECT, &out), 0);
	p.rights[0].granted = PG_PLAN_NO;
	p.pod.host_network = true; /* nobody can allow that, and rights alone do not help */
	assert_int_equal(pg_plan_manifest(&p, PG_PROFILE_REDIRECT, &out), 0);
	assert_int_equal(out.len, 0);
	pg_buf_fini(&out);
}

static void a_manifest_has_what_is_missing_and_no_more(void **state)
{
	struct pg_plan p = good_plan();
	struct pg_buf out = PG_BUF_INIT(8192);
	(void)state;
	p.rights[0].granted = PG_PLAN_NO;
	p.rights[3] = (struct pg_plan_right){ "get", "deployments.apps", "", true, PG_PLAN_NO };
	p.rights[4] = (struct pg_plan_right){ "list", "pods", "", true, PG_PLAN_NO };
	p.right_count = 5;
	p.profiles[PG_PROFILE_REDIRECT].answer = PG_PLAN_NO;
	p.profiles[PG_PROFILE_REDIRECT].is_pod_security = true;
	assert_int_equal(pg_plan_manifest(&p, PG_PROFILE_REDIRECT, &out), 0);
	assert_non_null(strstr(pg_buf_str(&out), "rules:\n"
						 "  - apiGroups: [\"\"]\n"
						 "    resources: [\"pods\"]\n"
						 "    verbs: [\"get\", \"list\"]\n"
						 "  - apiGroups: [\"apps\"]\n"
						 "    resources: [\"deployments\"]\n"
						 "    verbs: [\"get\"]\n"
						 "---\n"));
	assert_non_null(strstr(pg_buf_str(&out), "    name: \"ann\"\n---\napiVersion: v1\n"
						 "kind: Namespace\n"));
	assert_null(strstr(pg_buf_str(&out), "watch"));
	pg_buf_fini(&out);
}

/* A name that is chosen by somebody else cannot add lines of its own. */
static void names_are_quoted(void **state)
{
	struct pg_plan p = good_plan();
	struct pg_buf out = PG_BUF_INIT(8192);
	(void)state;
	p.rights[0].granted = PG_PLAN_NO;
	snprintf(p.user, sizeof(p.user), "eve\"\n  - kind: Group\n");
	assert_int_equal(pg_plan_manifest(&p, PG_PROFILE_REDIRECT, &out), 0);
	assert_non_null(strstr(pg_buf_str(&out), "name: \"eve\\\"\\n  - kind: Group\\n\"\n"));
	pg_buf_fini(&out);
}

/* Following the manifest of one person, then another's, takes nothing away. */
static void each_role_has_a_name_of_its_own(void **state)
{
	struct pg_plan p = good_plan();
	struct pg_buf texts[3] = { PG_BUF_INIT(8192), PG_BUF_INIT(8192), PG_BUF_INIT(8192) };
	(void)state;
	p.rights[0].granted = PG_PLAN_NO;
	assert_int_equal(pg_plan_manifest(&p, PG_PROFILE_REDIRECT, &texts[0]), 0);
	snprintf(p.user, sizeof(p.user), "bob");
	assert_int_equal(pg_plan_manifest(&p, PG_PROFILE_REDIRECT, &texts[1]), 0);
	p.rights[1].granted = PG_PLAN_NO;
	assert_int_equal(pg_plan_manifest(&p, PG_PROFILE_REDIRECT, &texts[2]), 0);
	for (int i = 0; i < 3; i++) {
		char name[64];
		const char *at = strstr(pg_buf_str(&texts[i]), "  name: podgraft-");
		assert_non_null(at);
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, "\n"), at);
		for (int k = 0; k < 3; k++)
			assert_int_equal(strstr(pg_buf_str(&texts[k]), name) != NULL, k == i);
	}
	for (int i = 0; i < 3; i++)
		pg_buf_fini(&texts[i]);
}

int main(void)
{
	struct CMUnitTest tests[16 + PG_LEN(kernels)] = {
		cmocka_unit_test(what_only_helps_stops_nothing),
		cmocka_unit_test(the_nodes_network_stops_redirects_alone),
		cmocka_unit_test(an_old_kernel_stops_redirects_alone),
		cmocka_unit_test(another_system_stops_all),
		cmocka_unit_test(missing_rights_are_named),
		cmocka_unit_test(unknown_rights_leave_it_open),
		cmocka_unit_test(what_admission_says_is_passed_on),
		cmocka_unit_test(nothing_to_allow_is_no_manifest),
		cmocka_unit_test(a_manifest_has_what_is_missing_and_no_more),
		cmocka_unit_test(names_are_quoted),
		cmocka_unit_test(each_role_has_a_name_of_its_own),
	};
	size_t n = 11;
	for (size_t i = 0; i < PG_LEN(kernels); i++)
		tests[n++] = (struct CMUnitTest){ kernels[i].kernel, kernels_are_read, NULL, NULL,
						  &kernels[i] };
	return _cmocka_run_group_tests("plan", tests, n, NULL, NULL);
}
