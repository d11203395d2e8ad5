#include "injector/kube_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "injector/read_file.h"

/* Captured from an API server, 1.36. What was tried, what it says to a person, and the hint. */
struct refusal_case {
	const char *file;
	int http;
	struct pg_kube_act act;
	int want, whose;
	const char *what, *hint; /* parts of them */
};
static struct refusal_case cases[] = {
	{ "404-pod.json",
	  404,
	  { "find pod 'none'", "get", "pods", "shop" },
	  -ENOENT,
	  PG_TARGET,
	  "find pod 'none': not found in namespace 'shop'",
	  "kubectl -n shop get pods;" },
	{ "404-group.txt",
	  404,
	  { "find job 'x'", "get", "jobs.batch", "shop" },
	  -ENOENT,
	  PG_CLUSTER,
	  "find job 'x': 404 page not found",
	  "is this an API server?" },
	{ "404-subresource.json",
	  404,
	  { "graft", "patch", "pods/ephemeralcontainers", "shop" },
	  -EOPNOTSUPP,
	  PG_CLUSTER,
	  "no ephemeral containers",
	  "1.25" },
	{ "403-rbac.json",
	  403,
	  { "find pod 'x'", "get", "pods", "kube-system" },
	  -EACCES,
	  PG_CLUSTER,
	  "User \"dev\" cannot get resource \"pods\"",
	  "as administrator: kubectl -n kube-system create role podgraft-get-pods --verb=get "
	  "--resource=pods; kubectl -n kube-system create rolebinding podgraft-get-pods-dev "
	  "--role=podgraft-get-pods --user=dev" },
	{ "403-rbac.json",
	  403,
	  { "list the pods of all namespaces", "list", "pods", "" },
	  -EACCES,
	  PG_CLUSTER,
	  "User \"dev\" cannot get resource \"pods\"",
	  "as administrator: kubectl create clusterrole podgraft-list-pods --verb=list "
	  "--resource=pods; kubectl create clusterrolebinding podgraft-list-pods-dev "
	  "--clusterrole=podgraft-list-pods --user=dev" },
	{ "403-rbac-ephemeralcontainers.json",
	  403,
	  { "graft", "patch", "pods/ephemeralcontainers", "kube-system" },
	  -EACCES,
	  PG_CLUSTER,
	  "cannot patch resource \"pods/ephemeralcontainers\"",
	  "create role podgraft-patch-ephemeralcontainers --verb=patch "
	  "--resource=pods/ephemeralcontainers;" },
	{ "403-hidden-verb.json",
	  403,
	  { "dial", "get", "pods/portforward", "shop" },
	  -EACCES,
	  PG_CLUSTER,
	  "needs the verb create on pods/portforward in namespace 'shop'",
	  "--verb=create --resource=pods/portforward, and bind it to you" },
	{ "403-podsecurity-baseline.json",
	  403,
	  { "graft", "patch", "pods/ephemeralcontainers", "shop" },
	  -EACCES,
	  PG_CLUSTER,
	  "namespace 'shop' enforces the PodSecurity profile 'baseline', which forbids: "
	  "non-default capabilities (container \"podgraft-x7k2p\" must not include \"NET_ADMIN\"",
	  "kubectl label --overwrite ns shop pod-security.kubernetes.io/enforce=privileged" },
	{ "403-podsecurity-restricted.json",
	  403,
	  { "graft", "patch", "pods/ephemeralcontainers", "shop" },
	  -EACCES,
	  PG_CLUSTER,
	  "PodSecurity profile 'restricted', which forbids: unrestricted capabilities",
	  "--profile forward" },
	{ "400-selector.json",
	  400,
	  { "list", "list", "pods", "shop" },
	  -EINVAL,
	  PG_CLUSTER,
	  "the server answers 400: unable to parse requirement",
	  "" },
	{ "415.json",
	  415,
	  { "graft", "patch", "pods", "shop" },
	  -EINVAL,
	  PG_CLUSTER,
	  "the server answers 415: 415: Unsupported Media Type",
	  "" },
	{ "422-target.json",
	  422,
	  { "graft", "patch", "pods", "shop" },
	  -EINVAL,
	  PG_CLUSTER,
	  "targetContainerName: Not found: \"nope\"",
	  "" },
};

static void reads_file(const char *name, struct pg_buf *out)
{
	char path[128];
	snprintf(path, sizeof(path), "fuzz_kube_status.corpus/%s", name);
	assert_int_equal(pg_read_file(path, out, NULL), 0);
}

static void explains(void **state)
{
	const struct refusal_case *c = *state;
	struct pg_buf body = PG_BUF_INIT(64 << 10);
	struct pg_kube_status st;
	struct pg_err err = { .code = 0 };
	reads_file(c->file, &body);
	pg_kube_status_parse(c->http, pg_buf_str(&body), body.len, &st);
	assert_int_equal(pg_kube_refused(&st, &c->act, &err), c->want);
	if (!strstr(err.what, c->what))
		fail_msg("'%s' lacks '%s'", err.what, c->what);
	if (!strstr(err.hint, c->hint))
		fail_msg("'%s' lacks '%s'", err.hint, c->hint);
	assert_int_equal(err.whose, c->whose);
	assert_false(pg_kube_is_passing(&st));
	pg_buf_fini(&body);
}

/* Answers as text: code, body, and what they come to. */
struct text_case {
	const char *name;
	int http;
	const char *body;
	int want;
	int passing;
	const char *what, *hint;
};
static struct text_case texts[] = {
	{ "too busy", 429, "Too many requests, please try again later.\n", -EBUSY, 1,
	  "the server answers 429: Too many requests, please try again later", "try again" },
	{ "no credentials", 401,
	  "{\"kind\":\"Status\",\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\"}", -EACCES,
	  0, "does not accept our credentials (401)", "log in" },
	{ "a stranger", 403,
	  "{\"message\":\"pods \\\"web\\\" is forbidden: User \\\"system:anonymous\\\" cannot get "
	  "resource\"}",
	  -EACCES, 0, "got no credentials from us that it knows", "log in" },
	{ "in another's name", 403,
	  "{\"message\":\"users \\\"ann\\\" is forbidden: User \\\"a:dev\\\" cannot impersonate "
	  "resource "
	  "\\\"users\\\"\"}",
	  -EACCES, 0, "users \"ann\" is forbidden: User \"a:dev\" cannot impersonate",
	  "create clusterrolebinding podgraft-impersonate-dev --clusterrole=podgraft-impersonate "
	  "--user=a:dev" },
	{ "a proxy's page", 502, "<html><body>Bad gateway</body></html>", -EREMOTEIO, 1,
	  "the server answers 502: no reason given", "readyz" },
	{ "the node is away", 500,
	  "{\"message\":\"error dialing backend: dial tcp 10.0.0.9:10250: i/o timeout\"}",
	  -EREMOTEIO, 1, "error dialing backend", "kubectl get nodes" },
	{ "a webhook is down", 500,
	  "{\"message\":\"Internal error occurred: failed calling webhook \\\"x.y\\\": dial tcp\"}",
	  -EREMOTEIO, 0, "failed calling webhook \"x.y\"", "webhook of this cluster is down" },
	{ "a webhook denies", 403,
	  "{\"message\":\"admission webhook \\\"policy.x\\\" denied the request: no agents\"}",
	  -EACCES, 0, "denied the request: no agents", "the webhook named here" },
	{ "quota", 403, "{\"message\":\"pods \\\"x\\\" is forbidden: exceeded quota: q\"}", -EACCES,
	  0, "exceeded quota", "describe resourcequota" },
	{ "OpenShift", 403,
	  "{\"message\":\"unable to validate against any security context constraint: []\"}",
	  -EACCES, 0, "security context constraint", "administrator" },
	{ "an empty 403", 403, "", -EACCES, 0, "refused with 403 and no reason", "--transport" },
	{ "no API server", 302, "", -EPROTO, 0, "answers 302, no Kubernetes API server",
	  "kubeconfig" },
	{ "a conflict", 409, "{\"message\":\"the object has been modified\"}", -EAGAIN, 0,
	  "the object has been modified", "try again" },
	{ "gone", 410, "{\"message\":\"too old\",\"reason\":\"Expired\"}", -ESTALE, 0, "too old",
	  "" },
	{ "escape sequences", 400, "{\"message\":\"a\\u001b[31mb\\nc\\u0000d\"}", -EINVAL, 0,
	  "answers 400: a?[31mb c", "" },
	{ "members of other types", 400,
	  "{\"message\":7,\"reason\":[],\"details\":1,\"code\":\"x\"}", -EINVAL, 0,
	  "the server answers 400: ", "" },
};

static void explains_text(void **state)
{
	const struct text_case *c = *state;
	const struct pg_kube_act act = { "do it", "get", "pods", "shop" };
	struct pg_kube_status st;
	struct pg_err err = { .code = 0 };
	pg_kube_status_parse(c->http, c->body, strlen(c->body), &st);
	assert_int_equal(pg_kube_is_passing(&st), c->passing);
	assert_int_equal(pg_kube_refused(&st, &act, &err), c->want);
	if (!strstr(err.what, c->what))
		fail_msg("'%s' lacks '%s'", err.what, c->what);
	if (!strstr(err.hint, c->hint))
		fail_msg("'%s' lacks '%s'", err.hint, c->hint);
}

/* A hint is meant for a shell: what the server says must not get more into it than a name. */
static void a_strange_user_is_left_out(void **state)
{
	struct pg_err err = { .code = -EACCES };
	(void)state;
	pg_kube_hint_role("User \"a; rm -rf b\" cannot", "shop", "get", "pods", &err);
	assert_null(strstr(err.hint, "rm"));
	assert_non_null(strstr(err.hint, "and bind it to you"));
	pg_kube_hint_role("User \"system:serviceaccount:a:b\" cannot", "shop", "get", "pods", &err);
	assert_non_null(strstr(err.hint, "--user=system:serviceaccount:a:b"));
}

static void tells_when_to_come_again(void **state)
{
	static const char body[] = "{\"details\":{\"retryAfterSeconds\":7},\"code\":500}";
	struct pg_kube_status st;
	(void)state;
	pg_kube_status_parse(500, body, sizeof(body) - 1, &st);
	assert_int_equal(st.retry_after_s, 7);
}

int main(void)
{
	struct CMUnitTest tests[64] = {
		cmocka_unit_test(a_strange_user_is_left_out),
		cmocka_unit_test(tells_when_to_come_again),
	};
	size_t n = 2;
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[n++] = (struct CMUnitTest){ cases[i].file, explains, NULL, NULL, &cases[i] };
	for (size_t i = 0; i < PG_LEN(texts); i++)
		tests[n++] =
			(struct CMUnitTest){ texts[i].name, explains_text, NULL, NULL, &texts[i] };
	return _cmocka_run_group_tests("test_kube_status", tests, n, NULL, NULL);
}
