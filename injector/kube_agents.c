#include "injector/kube_agents.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "injector/kube_json.h"
#include "injector/kube_resolve.h"
#include "injector/rfc3339.h"
#include "injector/target.h"

enum { SELECTOR_MAX = 4096 };

/* The value of the option `name` among a container's arguments, or "". */
static const char *arg_of(const json_t *args, const char *name)
{
	for (size_t i = 0; i + 1 < json_array_size(args); i++) {
		const char *arg = json_string_value(json_array_get(args, i));
		const char *next = json_string_value(json_array_get(args, i + 1));
		if (arg && next && strcmp(arg, name) == 0)
			return next;
	}
	return "";
}

static int64_t time_of(const json_t *status, const char *path)
{
	int64_t at = 0;
	return pg_rfc3339_parse(pg_json_str(status, path), &at) == 0 ? at : 0;
}

static void read_life(const json_t *status, struct pg_agent_seen *out)
{
	if (pg_json_at(status, "state.running")) {
		out->life = PG_AGENT_RUNS;
		out->since_s = time_of(status, "state.running.startedAt");
	} else if (pg_json_at(status, "state.terminated")) {
		out->life = PG_AGENT_ENDED;
		out->since_s = time_of(status, "state.terminated.startedAt");
		out->exit_code = (int)pg_json_int(status, "state.terminated.exitCode", -1);
	}
}

static bool has_ended(const json_t *pod)
{
	const char *phase = pg_json_str(pod, "status.phase");
	return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
}

bool pg_kube_agent_read(const json_t *pod, const json_t *c, struct pg_agent_seen *out)
{
	struct pg_agent_seen a = { .life = PG_AGENT_STARTING };
	const json_t *args = pg_json_at(c, "args");
	if (!pg_json_copy(pod, "metadata.namespace", a.ns, sizeof(a.ns)) ||
	    !pg_json_copy(pod, "metadata.name", a.pod, sizeof(a.pod)) ||
	    !pg_json_copy(pod, "metadata.uid", a.uid, sizeof(a.uid)) ||
	    !pg_json_copy(c, "name", a.container, sizeof(a.container)))
		return false;
	const char *first = json_string_value(json_array_get(args, 0));
	if (pg_json_at(c, "command") || !first || strcmp(first, "agent") != 0 ||
	    strcmp(arg_of(args, "--container"), a.container) != 0 ||
	    strcmp(arg_of(args, "--pod-uid"), a.uid) != 0 ||
	    pg_b64_decode(arg_of(args, "--laptop-key"), a.laptop_key, sizeof(a.laptop_key)) < 0)
		return false;
	snprintf(a.profile, sizeof(a.profile), "%s", arg_of(args, "--profile"));
	pg_sanitize(a.profile);
	read_life(pg_json_find(pod, "status.ephemeralContainerStatuses", "name", a.container), &a);
	if (a.life == PG_AGENT_STARTING && has_ended(pod))
		a.life = PG_AGENT_ENDED; /* before it started */
	*out = a;
	return true;
}

struct survey {
	void (*found)(void *ctx, const struct pg_agent_seen *agent);
	void *ctx;
};

static void look_at_pod(void *ctx, json_t *pod)
{
	const struct survey *s = ctx;
	const json_t *containers = pg_json_at(pod, "spec.ephemeralContainers");
	struct pg_agent_seen agent;
	for (size_t i = 0; i < json_array_size(containers); i++)
		if (pg_kube_agent_read(pod, json_array_get(containers, i), &agent))
			s->found(s->ctx, &agent);
}

/* A list that starts over shows agents twice: whoever collects them knows them by their names. */
static void start_over(void *ctx)
{
	(void)ctx;
}

static int one_pod(struct pg_kube_api *api, const char *ns, const char *name, struct survey *s,
		   struct pg_err *err)
{
	char what[320], path[640];
	json_t *pod = NULL;
	snprintf(what, sizeof(what), "find pod '%s'", name);
	snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/%s", ns, name);
	struct pg_kube_request rq = {
		.act = { what, "get", "pods", ns },
		.method = "GET",
		.path = path,
	};
	int rc = pg_kube_call(api, &rq, &pod, NULL, err);
	if (rc == 0)
		look_at_pod(s, pod);
	json_decref(pod);
	return rc;
}

/* All pods of `selector`, of the namespace `ns`, or of all namespaces where that is NULL. */
static int many_pods(struct pg_kube_api *api, const char *ns, const char *selector,
		     struct survey *s, struct pg_err *err)
{
	struct pg_buf path = PG_BUF_INIT(3 * SELECTOR_MAX + 512);
	struct pg_kube_list list = { start_over, look_at_pod, s };
	char rv[64];
	int rc = ns ? pg_buf_addf(&path, "/api/v1/namespaces/%s/pods", ns)
		    : pg_buf_add_str(&path, "/api/v1/pods");
	if (rc == 0 && selector[0])
		rc = pg_buf_add_str(&path, "?labelSelector=");
	if (rc == 0)
		rc = pg_kube_escape(&path, selector);
	struct pg_kube_request rq = {
		.act = { ns ? "list the pods" : "list the pods of all namespaces", "list", "pods",
			 ns ? ns : "" },
		.method = "GET",
		.path = pg_buf_str(&path),
	};
	rc = rc < 0 ? pg_fail(err, rc, "list the pods")
		    : pg_kube_each(api, &rq, &list, rv, sizeof(rv), err);
	pg_buf_fini(&path);
	return rc;
}

int pg_kube_agents(struct pg_kube_api *api, const char *ns, const struct pg_agents_wish *wish,
		   void (*found)(void *ctx, const struct pg_agent_seen *agent), void *ctx,
		   struct pg_err *err)
{
	struct survey s = { found, ctx };
	struct pg_buf selector = PG_BUF_INIT(SELECTOR_MAX);
	struct pg_target target = { .kind = PG_KIND_COUNT };
	int rc = wish->pods.target ? pg_target_parse(wish->pods.target, &target, err) : 0;
	if (rc < 0)
		return rc;
	if (target.kind == PG_KIND_POD)
		return one_pod(api, ns, target.name, &s, err);
	if (wish->pods.target || wish->pods.selector)
		rc = pg_kube_resolve_selector(api, ns, &wish->pods, &selector, err);
	if (rc == 0)
		rc = many_pods(api, wish->all_namespaces ? NULL : ns, pg_buf_str(&selector), &s,
			       err);
	pg_buf_fini(&selector);
	return rc;
}
