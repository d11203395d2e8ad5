#include "injector/kube_pod.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_json.h"
#include "injector/read_file.h"

/* A pod in a few words: the members of its three parts, with ' for ". */
struct sketch {
	const char *meta, *spec, *status;
};

static json_t *draw(const char *name, const struct sketch *s)
{
	char text[1024];
	snprintf(text, sizeof(text), "{'metadata':{'name':'%s'%s%s},'spec':{%s},'status':{%s}}",
		 name, s->meta ? "," : "", s->meta ? s->meta : "", s->spec ? s->spec : "",
		 s->status ? s->status : "");
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	json_t *pod = pg_json_parse(text, strlen(text), NULL);
	assert_non_null(pod);
	return pod;
}

#define ON_NODE "'nodeName':'n'"
#define RUNS    "'phase':'Running'"
#define READY(since) \
	"'conditions':[{'type':'Ready','status':'True','lastTransitionTime':'" since "'}]"
#define DELETED(when) "'deletionTimestamp':'" when "'"
#define CREATED(when) "'creationTimestamp':'" when "'"
#define RESTARTS(n)   "'containerStatuses':[{'restartCount':0},{'restartCount':" n "}]"
#define SIDECAR       "'initContainers':[{'name':'s','restartPolicy':'Always'},{'name':'i'}]"
#define SIDE_STARTS(s, i)                                                                          \
	"'initContainerStatuses':[{'name':'s','restartCount':" s "},{'name':'i','restartCount':" i \
	"}]"
#define EARLY "2026-01-01T00:00:09Z"
#define LATE  "2026-01-01T00:00:10Z"

/* Which of two pods kubectl takes. The better one's name comes last in the alphabet. */
struct rank_case {
	const char *name;
	struct sketch better, worse;
};
static struct rank_case ranks[] = {
	{ "on a node before none", { .spec = ON_NODE }, { .status = RUNS } },
	{ "running before unknown", { .status = RUNS }, { .status = "'phase':'Unknown'" } },
	{ "unknown before pending",
	  { .status = "'phase':'Unknown'" },
	  { .status = "'phase':'Pending'" } },
	{ "ended ranks with pending",
	  { .meta = CREATED(EARLY), .status = "'phase':'Failed'" },
	  { .meta = CREATED(LATE), .status = "'phase':'Pending'" } },
	{ "ready before not, even when deleting",
	  { .meta = DELETED(LATE), .status = READY(LATE) },
	  { .status = "'conditions':[{'type':'Ready','status':'False'}]" } },
	{ "staying before deleting", { .meta = NULL }, { .meta = DELETED(LATE) } },
	{ "deleted later first", { .meta = DELETED(LATE) }, { .meta = DELETED(EARLY) } },
	{ "ready longer first", { .status = READY(EARLY) }, { .status = READY(LATE) } },
	{ "ready since a known time first", { .status = READY(LATE) }, { .status = READY("") } },
	{ "fewer restarts first", { .status = RESTARTS("2") }, { .status = RESTARTS("10") } },
	{ "fewer restarts of sidecars first",
	  { .spec = SIDECAR, .status = SIDE_STARTS("1", "9") },
	  { .spec = SIDECAR, .status = SIDE_STARTS("2", "0") } },
	{ "older first", { .meta = CREATED(EARLY) }, { .meta = CREATED(LATE) } },
	{ "created at a known time first",
	  { .meta = CREATED(LATE) },
	  { .meta = "'creationTimestamp':null" } },
};

static void ranks_as_kubectl(void **state)
{
	const struct rank_case *c = *state;
	struct pg_kube_rank better, worse;
	json_t *b = draw("z", &c->better), *w = draw("a", &c->worse);
	pg_kube_rank_read(b, &better);
	pg_kube_rank_read(w, &worse);
	assert_true(pg_kube_rank_compare(&better, &worse) < 0);
	assert_true(pg_kube_rank_compare(&worse, &better) > 0);
	assert_int_equal(pg_kube_rank_compare(&better, &better), 0);
	json_decref(b);
	json_decref(w);
}

static void equal_pods_rank_by_name(void **state)
{
	struct pg_kube_rank a = { .name = "a" }, b = { .name = "b" };
	(void)state;
	assert_true(pg_kube_rank_compare(&a, &b) < 0);
}

/* What a real API server (1.36) sent. */
static json_t *load(const char *name)
{
	char path[128];
	struct pg_buf text = PG_BUF_INIT(1 << 20);
	snprintf(path, sizeof(path), "fuzz_kube_pod.corpus/%s.json", name);
	assert_int_equal(pg_read_file(path, &text, NULL), 0);
	json_t *o = pg_json_parse(pg_buf_str(&text), text.len, NULL);
	pg_buf_fini(&text);
	assert_non_null(o);
	return o;
}

struct life_case {
	const char *name;
	enum pg_kube_life want;
};
static struct life_case lives[] = {
	{ "pod-with-agents", PG_KUBE_LIVE },
	{ "pod-host-network", PG_KUBE_LIVE },
	{ "pod-unscheduled", PG_KUBE_UNSCHEDULED },
	{ "pod-finished", PG_KUBE_FINISHED },
};

static void tells_life(void **state)
{
	const struct life_case *c = *state;
	json_t *pod = load(c->name);
	assert_int_equal(pg_kube_pod_life(pod), c->want);
	json_decref(pod);
}

static void a_deleting_pod_is_told(void **state)
{
	const struct sketch s = { .meta = DELETED(LATE), .spec = ON_NODE, .status = RUNS };
	json_t *pod = draw("a", &s);
	(void)state;
	assert_int_equal(pg_kube_pod_life(pod), PG_KUBE_DELETING);
	json_decref(pod);
}

static void the_first_container_is_the_default(void **state)
{
	json_t *json = load("pod-with-agents");
	struct pg_pod pod;
	(void)state;
	assert_int_equal(pg_kube_pod_read(json, NULL, &pod, NULL), 0);
	assert_string_equal(pod.container, "app");
	assert_true(pod.container_is_default);
	assert_string_equal(pod.container_list, "app, side"); /* and no agents of ours */
	assert_string_equal(pod.ns, "shop");
	assert_string_equal(pod.node, "lab");
	assert_int_equal(strlen(pod.uid), 36);
	assert_false(pod.host_network);
	assert_int_equal(pod.port_count, 2);
	assert_string_equal(pod.ports[0].container, "app");
	assert_string_equal(pod.ports[0].name, "http");
	assert_int_equal(pod.ports[0].port, 8080);
	assert_true(pod.ports[0].is_tcp);
	assert_false(pod.ports[1].is_tcp);
	json_decref(json);
}

static void the_annotation_names_another(void **state)
{
	json_t *json = load("pod-host-network");
	struct pg_pod pod;
	(void)state;
	assert_int_equal(pg_kube_pod_read(json, NULL, &pod, NULL), 0);
	assert_string_equal(pod.container, "two");
	assert_false(pod.container_is_default);
	assert_string_equal(pod.container_list, "one, two, setup (init), proxy (init)");
	assert_true(pod.host_network);
	/* With the host's network Kubernetes demands that ports are declared; a sidecar's count. */
	assert_int_equal(pod.port_count, 1);
	assert_string_equal(pod.ports[0].name, "px");
	json_decref(json);
}

static void a_named_container_must_be_there(void **state)
{
	json_t *json = load("pod-host-network");
	struct pg_pod pod = { .name = "untouched" };
	struct pg_err err = { .code = 0 };
	(void)state;
	assert_int_equal(pg_kube_pod_read(json, "nope", &pod, &err), -ENOENT);
	assert_string_equal(pod.name, "untouched");
	assert_int_equal(err.whose, PG_TARGET);
	assert_non_null(strstr(err.what, "no container 'nope', it has: one, two, setup (init)"));
	assert_int_equal(pg_kube_pod_read(json, "proxy", &pod, &err), 0);
	assert_string_equal(pod.container, "proxy");
	assert_false(pod.container_is_default);
	json_decref(json);
}

static void what_is_no_pod_is_refused(void **state)
{
	json_t *json = load("service");
	struct pg_pod pod;
	(void)state;
	assert_int_equal(pg_kube_pod_read(json, NULL, &pod, NULL), -EPROTO);
	json_decref(json);
}

static void service_ports_are_mapped(void **state)
{
	json_t *json = load("pod-with-agents"), *service = load("service");
	struct pg_pod pod;
	(void)state;
	assert_int_equal(pg_kube_pod_read(json, NULL, &pod, NULL), 0);
	pg_kube_service_read(service, &pod);
	assert_int_equal(pod.service_port_count, 3); /* the fourth is UDP */
	assert_int_equal(pod.service_ports[0].service_port, 80);
	assert_int_equal(pod.service_ports[0].target_port, 8080); /* by the name "http" */
	assert_string_equal(pod.service_ports[0].name, "web");
	assert_int_equal(pod.service_ports[1].target_port, 8081); /* by number */
	assert_int_equal(pod.service_ports[2].target_port, 0);    /* no port of that name */
	json_object_set_new(pg_json_at(service, "spec"), "clusterIP", json_string("None"));
	pod.service_port_count = 0;
	pg_kube_service_read(service, &pod);
	assert_int_equal(pod.service_ports[0].target_port, 80); /* headless: the pod's own */
	json_decref(service);
	json_decref(json);
}

int main(void)
{
	struct CMUnitTest tests[64] = {
		cmocka_unit_test(equal_pods_rank_by_name),
		cmocka_unit_test(a_deleting_pod_is_told),
		cmocka_unit_test(the_first_container_is_the_default),
		cmocka_unit_test(the_annotation_names_another),
		cmocka_unit_test(a_named_container_must_be_there),
		cmocka_unit_test(what_is_no_pod_is_refused),
		cmocka_unit_test(service_ports_are_mapped),
	};
	size_t n = 7;
	for (size_t i = 0; i < PG_LEN(ranks); i++)
		tests[n++] = (struct CMUnitTest){ ranks[i].name, ranks_as_kubectl, NULL, NULL,
						  &ranks[i] };
	for (size_t i = 0; i < PG_LEN(lives); i++)
		tests[n++] =
			(struct CMUnitTest){ lives[i].name, tells_life, NULL, NULL, &lives[i] };
	return _cmocka_run_group_tests("test_kube_pod", tests, n, NULL, NULL);
}
