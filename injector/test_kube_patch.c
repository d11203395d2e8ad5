#include "injector/kube_patch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_json.h"

static const struct pg_keys keys = { .pub = { 1, 2, 3 } };
#define KEY "AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static const struct pg_pod pod = { .name = "web-0", .uid = "u-1", .container = "app" };

static struct pg_graft_spec spec_of(enum pg_profile profile)
{
	return (struct pg_graft_spec){
		.profile = profile,
		.image = "docker.io/podgraft/agent:0.1.0",
		.idle_ms = 30 * 60 * 1000,
		.memory_bytes = 64 << 20,
		.keys = &keys,
	};
}

#define PATCH(profile, uid, root, caps, more)                                                  \
	"{'metadata':{'uid':'u-1'},'spec':{'ephemeralContainers':[{'name':'podgraft-x7k2p',"   \
	"'image':'docker.io/podgraft/agent:0.1.0','args':['agent','--laptop-key','" KEY "',"   \
	"'--pod-uid','u-1','--container','podgraft-x7k2p','--profile','" profile "','--idle'," \
	"'30m','--memory','64Mi'],'securityContext':{'allowPrivilegeEscalation':false,"        \
	"'runAsUser':" uid ",'runAsGroup':" uid ",'runAsNonRoot':" root ","                    \
	"'readOnlyRootFilesystem':true,'capabilities':{'drop':['ALL']" caps "},"               \
	"'seccompProfile':{'type':'RuntimeDefault'}},'terminationMessagePolicy':"              \
	"'FallbackToLogsOnError'" more "}]}}"

struct patch_case {
	const char *name;
	enum pg_profile profile;
	const char *want;
};
static struct patch_case cases[] = {
	{ "redirect", PG_PROFILE_REDIRECT,
	  PATCH("redirect", "0", "false", ",'add':['NET_ADMIN']", "") },
	{ "forward", PG_PROFILE_FORWARD, PATCH("forward", "65532", "true", "", "") },
	{ "inspect", PG_PROFILE_INSPECT,
	  PATCH("inspect", "0", "false", ",'add':['SYS_PTRACE','DAC_READ_SEARCH']",
		",'targetContainerName':'app'") },
};

static void gives_the_least(void **state)
{
	const struct patch_case *c = *state;
	struct pg_graft_spec spec = spec_of(c->profile);
	char want[2048];
	snprintf(want, sizeof(want), "%s", c->want);
	for (char *s = want; *s; s++)
		*s = *s == '\'' ? '"' : *s;
	char *text = pg_kube_patch_text(&pod, &spec, "podgraft-x7k2p");
	assert_string_equal(text, want);
	free(text);
}

static void the_pull_policy_is_passed_on(void **state)
{
	struct pg_graft_spec spec = spec_of(PG_PROFILE_FORWARD);
	(void)state;
	spec.pull_policy = "Never";
	char *text = pg_kube_patch_text(&pod, &spec, "podgraft-x7k2p");
	assert_non_null(strstr(text, "\"imagePullPolicy\":\"Never\""));
	free(text);
}

struct check_case {
	const char *image, *policy;
	int want;
};
static struct check_case checks[] = {
	{ "agent", NULL, 0 },
	{ "docker.io/podgraft/agent:0.1.0", "Always", 0 },
	{ "REG.example:5000/a/b@sha256:0123", "IfNotPresent", 0 },
	{ "localhost/agent:1-dev_X", "Never", 0 },
	{ "agent", "never", -EINVAL },
	{ "agent", "", -EINVAL },
	{ "", NULL, -EINVAL },
	{ "a b", NULL, -EINVAL },
	{ "docker.io/podgraft/", NULL, -EINVAL },
	{ "docker.io/podgraft/Agent:1", NULL, -EINVAL },
	{ "agent\n", NULL, -EINVAL },
};

static void refuses_what_no_kubelet_takes(void **state)
{
	const struct check_case *c = *state;
	struct pg_graft_spec spec = spec_of(PG_PROFILE_FORWARD);
	struct pg_err err = { .code = 0 };
	spec.image = c->image;
	spec.pull_policy = c->policy;
	assert_int_equal(pg_kube_patch_check(&spec, &err), c->want);
	assert_int_equal(err.whose, c->want ? PG_USER : 0);
}

/* What we patched in is found again, and nothing that differs from it. */
static void only_ours_is_ours(void **state)
{
	struct pg_graft_spec spec = spec_of(PG_PROFILE_INSPECT);
	struct pg_keys other_keys = { .pub = { 9 } };
	struct pg_pod other_pod = pod;
	const char *name = "podgraft-x7k2p";
	(void)state;
	char *text = pg_kube_patch_text(&pod, &spec, name);
	json_t *json = pg_json_parse(text, strlen(text), NULL);
	json_t *args =
		pg_json_at(pg_json_find(json, "spec.ephemeralContainers", "name", name), "args");
	enum pg_profile inspect = PG_PROFILE_INSPECT;
	assert_true(pg_kube_patch_is_ours(json, &pod, &spec, inspect, name));
	assert_false(pg_kube_patch_is_ours(json, &pod, &spec, inspect, "podgraft-other"));
	assert_false(pg_kube_patch_is_ours(json, &pod, &spec, PG_PROFILE_REDIRECT, name));
	snprintf(other_pod.container, sizeof(other_pod.container), "side");
	assert_false(pg_kube_patch_is_ours(json, &other_pod, &spec, inspect, name));
	other_pod = pod;
	snprintf(other_pod.uid, sizeof(other_pod.uid), "u-2");
	assert_false(pg_kube_patch_is_ours(json, &other_pod, &spec, inspect, name));
	spec.image = "docker.io/podgraft/agent:0.2.0";
	assert_false(pg_kube_patch_is_ours(json, &pod, &spec, inspect, name));
	spec = spec_of(inspect);
	spec.keys = &other_keys;
	assert_false(pg_kube_patch_is_ours(json, &pod, &spec, inspect, name));
	spec.keys = &keys;
	json_array_append_new(args, json_string("--laptop-key")); /* a second key behind ours */
	json_array_append_new(args, json_string("AAAA"));
	assert_false(pg_kube_patch_is_ours(json, &pod, &spec, inspect, name));
	json_decref(json);
	free(text);
}

static void names_differ_and_are_legal(void **state)
{
	char a[PG_NAME_MAX + 1], b[PG_NAME_MAX + 1];
	(void)state;
	pg_kube_patch_name(a);
	pg_kube_patch_name(b);
	assert_int_equal(strlen(a), strlen("podgraft-") + 5);
	assert_int_equal(strspn(a, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(a));
	assert_string_not_equal(a, b);
}

struct kept_case {
	const char *name;
	enum pg_profile profile;
	const char *security; /* as admission left it */
	int want;
	const char *says;
};
static struct kept_case kept[] = {
	{ "nothing was changed", PG_PROFILE_INSPECT,
	  "{'runAsUser':0,'runAsNonRoot':false,'capabilities':{'drop':['ALL'],"
	  "'add':['SYS_PTRACE','DAC_READ_SEARCH']}}",
	  0, "" },
	{ "an agent without capabilities needs nothing", PG_PROFILE_FORWARD,
	  "{'runAsUser':1000,'runAsNonRoot':true}", 0, "" },
	{ "one capability was taken", PG_PROFILE_INSPECT,
	  "{'runAsUser':0,'capabilities':{'add':['SYS_PTRACE']}}", -EACCES,
	  "takes DAC_READ_SEARCH from the agent" },
	{ "all were taken", PG_PROFILE_REDIRECT, "{'runAsUser':0,'capabilities':{'drop':['ALL']}}",
	  -EACCES, "takes NET_ADMIN from the agent" },
	{ "it must not be root", PG_PROFILE_REDIRECT,
	  "{'runAsUser':0,'runAsNonRoot':true,'capabilities':{'add':['NET_ADMIN']}}", -EACCES,
	  "from running as root" },
	{ "it is somebody else", PG_PROFILE_REDIRECT,
	  "{'runAsUser':1000,'capabilities':{'add':['NET_ADMIN']}}", -EACCES,
	  "from running as root" },
	{ "of other types", PG_PROFILE_REDIRECT, "{'capabilities':{'add':[null,7]}}", -EACCES,
	  "takes NET_ADMIN" },
};

static void sees_what_admission_took(void **state)
{
	const struct kept_case *c = *state;
	struct pg_err err = { .code = 0 };
	char text[512];
	snprintf(text, sizeof(text),
		 "{'spec':{'ephemeralContainers':[{'name':'other'},{'name':'podgraft-x7k2p',"
		 "'securityContext':%s}]}}",
		 c->security);
	for (char *s = text; *s; s++)
		*s = *s == '\'' ? '"' : *s;
	json_t *pod_json = pg_json_parse(text, strlen(text), NULL);
	assert_non_null(pod_json);
	assert_int_equal(pg_kube_patch_kept(pod_json, c->profile, "podgraft-x7k2p", &err), c->want);
	assert_int_equal(err.whose, c->want ? PG_CLUSTER : 0);
	if (c->want)
		assert_non_null(strstr(err.what, c->says));
	json_decref(pod_json);
}

int main(void)
{
	struct CMUnitTest tests[32] = {
		cmocka_unit_test(the_pull_policy_is_passed_on),
		cmocka_unit_test(only_ours_is_ours),
		cmocka_unit_test(names_differ_and_are_legal),
	};
	size_t n = 3;
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[n++] = (struct CMUnitTest){ cases[i].name, gives_the_least, NULL, NULL,
						  &cases[i] };
	for (size_t i = 0; i < PG_LEN(checks); i++)
		tests[n++] = (struct CMUnitTest){ checks[i].image, refuses_what_no_kubelet_takes,
						  NULL, NULL, &checks[i] };
	for (size_t i = 0; i < PG_LEN(kept); i++)
		tests[n++] = (struct CMUnitTest){ kept[i].name, sees_what_admission_took, NULL,
						  NULL, &kept[i] };
	return pg_auth_init() < 0
		       ? 1
		       : _cmocka_run_group_tests("test_kube_patch", tests, n, NULL, NULL);
}
