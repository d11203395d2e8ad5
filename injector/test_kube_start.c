#include "injector/kube_start.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "injector/kube_json.h"
#include "injector/read_file.h"

enum { SIGHTS = 5 };

/* How the container's state goes on, and what we make of each. `state` has ' for ". */
struct start_case {
	const char *name;
	struct {
		uint64_t at_ms;
		const char *state;
		enum pg_kube_step want;
	} sights[SIGHTS];
	int code, whose;
	const char *what, *hint; /* parts of the failure, if any */
};
#define WAITS(reason, message) "'waiting':{'reason':'" reason "','message':'" message "'}"
#define ENDS(reason, code, message) \
	"'terminated':{'reason':'" reason "','exitCode':" code ",'message':'" message "'}"
#define RUNS     "'running':{'startedAt':'2026-01-01T00:00:00Z'}"
#define CREATING "'waiting':{'reason':'ContainerCreating'}"
static struct start_case cases[] = {
	{ .name = "starts",
	  .sights = { { 0, NULL, PG_KUBE_WAITING },
		      { 10, "", PG_KUBE_WAITING },
		      { 20, CREATING, PG_KUBE_WAITING },
		      { 30, "'waiting':{'reason':'PodInitializing'}", PG_KUBE_WAITING },
		      { 50000, RUNS, PG_KUBE_RUNNING } } },
	{ .name = "an image that is not there: at the second sight",
	  .sights = { { 0, CREATING, PG_KUBE_WAITING },
		      { 10, WAITS("ErrImagePull", "docker.io/x:1: not found"), PG_KUBE_WAITING },
		      { 20, WAITS("ErrImagePull", "docker.io/x:1: not found"), PG_KUBE_WAITING },
		      { 30, WAITS("ImagePullBackOff", "Back-off pulling image"), PG_KUBE_STUCK } },
	  .code = -ENOEXEC,
	  .whose = PG_TARGET,
	  .what = "pod 'web-0': the node cannot pull the image: docker.io/x:1: not found",
	  .hint = "no such image" },
	{ .name = "or when it lasts",
	  .sights = { { 100, WAITS("ImagePullBackOff", "Back-off: unauthorized"), PG_KUBE_WAITING },
		      { 5099, WAITS("ImagePullBackOff", "Back-off: unauthorized"),
			PG_KUBE_WAITING },
		      { 5100, WAITS("ImagePullBackOff", "Back-off: unauthorized"),
			PG_KUBE_STUCK } },
	  .code = -ENOEXEC,
	  .whose = PG_TARGET,
	  .what = "Back-off: unauthorized",
	  .hint = "imagePullSecrets" },
	{ .name = "a pull that works after all",
	  .sights = { { 0, WAITS("ErrImagePull", "timeout"), PG_KUBE_WAITING },
		      { 10, CREATING, PG_KUBE_WAITING },
		      { 20, WAITS("ErrImagePull", "timeout"), PG_KUBE_WAITING },
		      { 30, RUNS, PG_KUBE_RUNNING } } },
	{ .name = "an image that must not be pulled",
	  .sights = { { 0, WAITS("ErrImageNeverPull", "not present"), PG_KUBE_STUCK } },
	  .code = -ENOEXEC,
	  .whose = PG_TARGET,
	  .what = "is not on the node and must not be pulled",
	  .hint = "--pull-policy Never" },
	{ .name = "no name of an image",
	  .sights = { { 0, WAITS("InvalidImageName", "couldnt parse"), PG_KUBE_STUCK } },
	  .code = -ENOEXEC,
	  .whose = PG_TARGET,
	  .what = "no name of an image",
	  .hint = "REGISTRY/NAME:TAG" },
	{ .name = "a container that cannot be created: at the third",
	  .sights = { { 0, WAITS("CreateContainerError", "a"), PG_KUBE_WAITING },
		      { 10, WAITS("CreateContainerError", "b"), PG_KUBE_WAITING },
		      { 20,
			WAITS("CreateContainerConfigError", "unable to find target container app"),
			PG_KUBE_STUCK } },
	  .code = -ENOEXEC,
	  .whose = PG_TARGET,
	  .what = "cannot be configured",
	  .hint = "the target container has not started" },
	{ .name = "a program for another CPU",
	  .sights = { { 0, WAITS("RunContainerError", "exec /podgraft-agent: exec format error"),
			PG_KUBE_STUCK } },
	  .code = -ENOEXEC,
	  .whose = PG_TARGET,
	  .what = "cannot be started",
	  .hint = "not built for the node's CPU" },
	{ .name = "an image that says no program",
	  .sights = { { 0,
			WAITS("RunContainerError",
			      "exec: agent: executable file not found in $PATH"),
			PG_KUBE_STUCK } },
	  .code = -ENOEXEC,
	  .whose = PG_TARGET,
	  .what = "cannot be started",
	  .hint = "is --image an image of podgraft's agent?" },
	{ .name = "ended",
	  .sights = { { 0, ENDS("Error", "3", "podgraft-agent:\\nneeds NET_ADMIN\\n"),
			PG_KUBE_ENDED } },
	  .code = -ECHILD,
	  .whose = PG_TARGET,
	  .what = "the agent podgraft-x7k2p in pod 'web-0' ended at once (Error, exit 3): "
		  "podgraft-agent: needs NET_ADMIN",
	  .hint = "--profile forward" },
	{ .name = "out of memory",
	  .sights = { { 0, ENDS("OOMKilled", "137", ""), PG_KUBE_ENDED } },
	  .code = -ECHILD,
	  .whose = PG_TARGET,
	  .what = "(OOMKilled, exit 137)",
	  .hint = "memory" },
	{ .name = "killed",
	  .sights = { { 0, ENDS("Error", "137", ""), PG_KUBE_ENDED } },
	  .code = -ECHILD,
	  .whose = PG_TARGET,
	  .what = "exit 137",
	  .hint = "try again" },
	{ .name = "escape sequences are not passed on",
	  .sights = { { 0, WAITS("ErrImageNeverPull", "a\\u001b[2Jb"), PG_KUBE_STUCK } },
	  .code = -ENOEXEC,
	  .whose = PG_TARGET,
	  .what = "a?[2Jb",
	  .hint = "" },
};

/* The pod with our container in `state`, beside another's trouble; NULL: not known yet. */
static json_t *draw(const char *state)
{
	char text[1024];
	snprintf(text, sizeof(text),
		 "{'metadata':{'name':'web-0'},'spec':{'nodeName':'lab'},'status':{'phase':"
		 "'Running','ephemeralContainerStatuses':[{'name':'other','state':{" WAITS(
			 "ErrImageNeverPull", "") "}}%s%s%s]}}",
		 state ? ",{'name':'podgraft-x7k2p','state':{" : "", state ? state : "",
		 state ? "}}" : "");
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	json_t *pod = pg_json_parse(text, strlen(text), NULL);
	assert_non_null(pod);
	return pod;
}

static void judges(void **state)
{
	const struct start_case *c = *state;
	struct pg_kube_start start = { .container = "podgraft-x7k2p" };
	struct pg_err err = { .code = 0 };
	for (int i = 0; i < SIGHTS && (i == 0 || c->sights[i].state); i++) {
		json_t *pod = draw(c->sights[i].state);
		assert_int_equal(pg_kube_start_judge(&start, pod, c->sights[i].at_ms, &err),
				 c->sights[i].want);
		if (c->sights[i].want == PG_KUBE_WAITING)
			assert_true(start.waiting_for[0] != '\0');
		assert_int_equal(pg_kube_is_running(pod, "podgraft-x7k2p"),
				 c->sights[i].want == PG_KUBE_RUNNING);
		json_decref(pod);
	}
	assert_int_equal(err.code, c->code);
	if (c->code == 0)
		return;
	assert_int_equal(err.whose, c->whose);
	if (!strstr(err.what, c->what))
		fail_msg("'%s' lacks '%s'", err.what, c->what);
	if (!strstr(err.hint, c->hint))
		fail_msg("'%s' lacks '%s'", err.hint, c->hint);
}

static void a_pod_that_goes_is_not_waited_for(void **state)
{
	struct pg_kube_start start = { .container = "podgraft-x7k2p" };
	struct pg_err err = { .code = 0 };
	json_t *pod = draw(CREATING);
	(void)state;
	json_object_set_new(pg_json_at(pod, "metadata"), "deletionTimestamp",
			    json_string("2026-01-01T00:00:00Z"));
	assert_int_equal(pg_kube_start_judge(&start, pod, 0, &err), PG_KUBE_STUCK);
	assert_int_equal(err.code, -ESHUTDOWN);
	json_decref(pod);
}

/* The kubelet's events come before its status: what they tell counts until that says more. */
static void believes_events_before_the_status_tells(void **state)
{
	struct pg_kube_start start = { .container = "podgraft-x7k2p" };
	struct pg_err err = { .code = 0 };
	json_t *pod = draw(CREATING), *runs = draw(RUNS);
	(void)state;
	assert_int_equal(pg_kube_start_judge(&start, pod, 0, &err), PG_KUBE_WAITING);
	start.told = (struct pg_kube_told){ "ErrImagePull", "docker.io/x:1: not found", 0 };
	assert_int_equal(pg_kube_start_judge(&start, pod, 1000, &err), PG_KUBE_WAITING);
	assert_int_equal(pg_kube_start_judge(&start, runs, 1500, &err), PG_KUBE_RUNNING);
	assert_int_equal(pg_kube_start_judge(&start, pod, 6000, &err), PG_KUBE_STUCK);
	assert_non_null(strstr(err.what, "cannot pull the image: docker.io/x:1: not found"));
	json_decref(pod);
	json_decref(runs);
}

/* A real pod in which agents run, have ended, and wait for their image. */
static void reads_what_a_kubelet_wrote(void **state)
{
	struct pg_buf text = PG_BUF_INIT(1 << 20);
	struct pg_err err = { .code = 0 };
	enum pg_kube_step seen[3] = { PG_KUBE_WAITING };
	(void)state;
	assert_int_equal(pg_read_file("fuzz_kube_pod.corpus/pod-with-agents.json", &text, NULL), 0);
	json_t *pod = pg_json_parse(pg_buf_str(&text), text.len, NULL);
	const json_t *all = pg_json_at(pod, "status.ephemeralContainerStatuses");
	assert_int_equal(json_array_size(all), 3);
	for (size_t i = 0; i < 3; i++) {
		struct pg_kube_start start = {
			.container = pg_json_str(json_array_get(all, i), "name"),
		};
		seen[i] = pg_kube_start_judge(&start, pod, 0, &err);
	}
	size_t running = 0, ended = 0, other = 0;
	for (size_t i = 0; i < 3; i++) {
		running += seen[i] == PG_KUBE_RUNNING;
		ended += seen[i] == PG_KUBE_ENDED;
		other += seen[i] == PG_KUBE_WAITING || seen[i] == PG_KUBE_STUCK;
	}
	assert_int_equal(running, 1);
	assert_int_equal(ended, 1);
	assert_int_equal(other, 1);
	json_decref(pod);
	pg_buf_fini(&text);
}

int main(void)
{
	struct CMUnitTest tests[32] = {
		cmocka_unit_test(a_pod_that_goes_is_not_waited_for),
		cmocka_unit_test(reads_what_a_kubelet_wrote),
		cmocka_unit_test(believes_events_before_the_status_tells),
	};
	size_t n = 3;
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[n++] = (struct CMUnitTest){ cases[i].name, judges, NULL, NULL, &cases[i] };
	return _cmocka_run_group_tests("test_kube_start", tests, n, NULL, NULL);
}
