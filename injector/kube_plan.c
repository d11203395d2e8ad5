#include "injector/kube_plan.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_graft.h"
#include "injector/kube_json.h"
#include "injector/kube_resolve.h"
#include "injector/kube_review.h"
#include "injector/target.h"
#include "proto/base/mem.h"

enum { READ_MS = 3000, DRY_RUN_MS = 12000, UNUSED_PORT = 1 };

/* The rights that a command on a pod may come to need, in the order of their use; docs/security.md
 * has them as a Role. */
static const struct {
	struct pg_plan_right right;
	bool is_of_pod; /* on the one pod: a Role may name it */
} rights[] = {
	{ { "get", "pods", "to find the pod", true, PG_PLAN_UNKNOWN }, true },
	{ { "patch", "pods/ephemeralcontainers", "to graft the agent", true, PG_PLAN_UNKNOWN },
	  true },
	{ { "get", "pods/log", "to read where the agent listens", true, PG_PLAN_UNKNOWN }, true },
	{ { "create", "pods/portforward", "to reach the agent", true, PG_PLAN_UNKNOWN }, true },
	{ { "get", "pods/portforward", "to reach it by WebSocket, where SPDY does not pass", false,
	    PG_PLAN_UNKNOWN },
	  true },
	{ { "list", "pods", "to choose a pod of a workload, Service or selector", false,
	    PG_PLAN_UNKNOWN },
	  false },
	{ { "watch", "pods", "to wait without asking again each second", false, PG_PLAN_UNKNOWN },
	  true },
	{ { "list", "events", "to know at once why an image is not pulled", false,
	    PG_PLAN_UNKNOWN },
	  false },
	{ { "create", "events", "to leave an Event on the pod", false, PG_PLAN_UNKNOWN }, false },
};

static_assert(PG_LEN(rights) + 1 <= PG_PLAN_RIGHTS, "and that of a workload");

/* One plan in the making. */
struct work {
	struct pg_kube_api *api;
	const struct pg_kube_plan_for *of;
	struct pg_plan *plan;
	const char *pod_name; /* "": not known */
};

static struct pg_plan_right *find_right(struct pg_plan *p, const char *verb, const char *resource)
{
	for (size_t i = 0; i < p->right_count; i++)
		if (strcmp(p->rights[i].verb, verb) == 0 &&
		    strcmp(p->rights[i].resource, resource) == 0)
			return &p->rights[i];
	return NULL;
}

/* Asks for one right and adds it. */
static int review(struct work *w, struct pg_plan_right right, const char *name, struct pg_err *err)
{
	struct pg_kube_access access = { w->of->ns, right.verb, right.resource, name };
	bool allowed = false;
	int rc = pg_kube_may(w->api, &access, &allowed, err);
	if (rc == 0)
		right.granted = allowed ? PG_PLAN_YES : PG_PLAN_NO;
	w->plan->rights[w->plan->right_count++] = right;
	return rc == -EACCES ? 0 : rc; /* a cluster may keep even this from us */
}

static int review_all(struct work *w, const struct pg_target *target, struct pg_err *err)
{
	bool chooses = !w->of->target->target || target->kind != PG_KIND_POD;
	int rc = 0;
	if (w->of->target->target && chooses) {
		struct pg_plan_right right = { "get", pg_kube_kind_rbac(target->kind),
					       "to find its pods", true, PG_PLAN_UNKNOWN };
		rc = review(w, right, target->name, err);
	}
	for (size_t i = 0; i < PG_LEN(rights) && rc == 0; i++)
		rc = review(w, rights[i].right, rights[i].is_of_pod ? w->pod_name : "", err);
	if (rc < 0)
		return rc;
	find_right(w->plan, "list", "pods")->is_needed = chooses;
	find_right(w->plan, "get", "pods/portforward")->is_needed =
		w->of->dialer->wanted == PG_TRANSPORT_TUNNEL ||
		w->of->dialer->wanted == PG_TRANSPORT_WEBSOCKET;
	return 0;
}

/* An object that we may be forbidden to read: then NULL, and that is no failure. */
static json_t *read_object(struct work *w, const char *what, const char *resource, const char *path)
{
	struct pg_kube_request rq = {
		.act = { what, "get", resource, "" },
		.method = "GET",
		.path = path,
		.deadline_ms = pg_loop_now_ms(w->api->loop) + READ_MS,
	};
	json_t *object = NULL;
	return path && pg_kube_call(w->api, &rq, &object, NULL, NULL) == 0 ? object : NULL;
}

static void read_namespace(struct work *w)
{
	pg_auto_free char *path = pg_asprintf("/api/v1/namespaces/%s", w->of->ns);
	json_t *ns = read_object(w, "look at the namespace", "namespaces", path);
	const json_t *labels = pg_json_at(ns, "metadata.labels");
	w->plan->is_namespace_known = ns != NULL;
	/* The label's name holds dots: it is no path. */
	const char *enforce =
		json_string_value(json_object_get(labels, "pod-security.kubernetes.io/enforce"));
	snprintf(w->plan->enforce, sizeof(w->plan->enforce), "%s", enforce ? enforce : "");
	pg_sanitize(w->plan->enforce);
	json_decref(ns);
}

static void read_node(struct work *w)
{
	struct pg_plan *p = w->plan;
	pg_auto_free char *path = pg_asprintf("/api/v1/nodes/%s", p->pod.node);
	json_t *node = read_object(w, "look at the node", "nodes", path);
	const json_t *info = pg_json_at(node, "status.nodeInfo");
	pg_json_copy(info, "operatingSystem", p->os, sizeof(p->os));
	pg_json_copy(info, "architecture", p->arch, sizeof(p->arch));
	pg_json_copy(info, "kernelVersion", p->kernel, sizeof(p->kernel));
	pg_json_copy(info, "containerRuntimeVersion", p->runtime, sizeof(p->runtime));
	json_decref(node);
}

static void read_pod(struct work *w)
{
	struct pg_plan *p = w->plan;
	pg_json_copy(w->of->pod, "status.phase", p->phase, sizeof(p->phase));
	pg_json_copy(w->of->pod, "spec.runtimeClassName", p->runtime_class,
		     sizeof(p->runtime_class));
	read_node(w);
	if (!p->os[0])
		pg_json_copy(w->of->pod, "spec.os.name", p->os, sizeof(p->os));
}

/* What the API server, with all that admission does, says to an agent of that profile. True when it
 * has judged it: else it is down, or what it asks for advice. */
static bool dry_run(struct work *w, enum pg_profile profile)
{
	struct pg_plan_profile *to = &w->plan->profiles[profile];
	struct pg_graft_spec spec = *w->of->graft;
	struct pg_kube_status st = { .http = 0 };
	spec.profile = profile;
	uint64_t deadline_ms = pg_loop_now_ms(w->api->loop) + DRY_RUN_MS;
	int rc = pg_kube_graft_try(w->api, &w->plan->pod, &spec, deadline_ms, &st, &to->why);
	to->answer = rc == 0 ? PG_PLAN_YES : PG_PLAN_NO;
	to->is_pod_security = rc < 0 && pg_kube_is_pod_security(&st);
	return rc == 0 || (st.http >= 200 && st.http < 500);
}

/* Without the right to patch, the namespace's label is all that there is to know. */
static void guess(struct work *w, enum pg_profile profile)
{
	struct pg_plan_profile *to = &w->plan->profiles[profile];
	const char *enforce = w->plan->enforce;
	if (profile == PG_PROFILE_FORWARD || !enforce[0] || strcmp(enforce, "privileged") == 0) {
		pg_fail(&to->why, -EACCES, "what admission says to the agent is not known yet.");
		pg_hint(&to->why, PG_CLUSTER,
			"run plan again when you may patch pods/ephemeralcontainers");
		return;
	}
	to->answer = PG_PLAN_NO;
	to->is_pod_security = true;
	pg_fail(&to->why, -EACCES,
		"namespace '%s' enforces the PodSecurity profile '%s', which forbids the "
		"capabilities of this agent.",
		w->of->ns, enforce);
	pg_hint(&to->why, PG_CLUSTER,
		"an administrator can allow it: kubectl label --overwrite ns %s "
		"pod-security.kubernetes.io/enforce=privileged; only --profile forward needs "
		"nothing",
		w->of->ns);
}

static int try_profiles(struct work *w, struct pg_err *err)
{
	bool can_try =
		w->plan->is_pod_known &&
		find_right(w->plan, "patch", "pods/ephemeralcontainers")->granted != PG_PLAN_NO;
	bool has_judged = true;
	for (int i = 0; i < PG_PROFILE_COUNT; i++) {
		struct pg_plan_profile *profile = &w->plan->profiles[i];
		if (!can_try)
			guess(w, (enum pg_profile)i);
		else if (has_judged)
			has_judged = dry_run(w, (enum pg_profile)i);
		else /* it would say the same again, and maybe as slowly */
			*profile = w->plan->profiles[i - 1];
		if (profile->why.code == -ECANCELED) {
			*err = profile->why;
			return err->code;
		}
	}
	return 0;
}

static void hear(void *ctx, const uint8_t *bytes, size_t n)
{
	(void)ctx, (void)bytes, (void)n;
}

static int say_nothing(void *ctx, struct iovec *slots, int count)
{
	(void)ctx, (void)slots, (void)count;
	return 0;
}

static void end(void *ctx, const struct pg_err *why)
{
	(void)ctx, (void)why;
}

/* Whether the API server, and what stands before it, lets a port-forward through: to a port on
 * which nobody listens, as the pod's node has to say. */
static int try_way(struct work *w, struct pg_err *err)
{
	static const struct pg_lane_events events = { hear, say_nothing, end };
	struct pg_plan *p = w->plan;
	struct pg_lane *lane = NULL;
	if (strcmp(p->phase, "Running") != 0 || pg_plan_lacks_right(p))
		return 0;
	int rc =
		pg_kube_dial(w->of->dialer, &p->pod, UNUSED_PORT, events, NULL, &lane, &p->way_err);
	if (rc == 0)
		pg_lane_close(lane);
	bool is_through = rc == 0 || (rc == -ECONNREFUSED && p->way_err.whose == PG_TARGET);
	p->way = is_through ? PG_PLAN_YES : PG_PLAN_NO;
	if (rc == -ECANCELED)
		*err = p->way_err;
	return rc == -ECANCELED ? rc : 0;
}

int pg_kube_plan(struct pg_kube_api *api, const struct pg_kube_plan_for *of, struct pg_plan *plan,
		 struct pg_err *err)
{
	struct work w = { .api = api, .of = of, .plan = plan, .pod_name = "" };
	struct pg_target target = { .kind = PG_KIND_POD };
	plan->is_pod_known = of->pod != NULL;
	snprintf(plan->ns, sizeof(plan->ns), "%s", of->ns);
	int rc = of->target->target ? pg_target_parse(of->target->target, &target, err) : 0;
	if (rc < 0)
		return rc;
	w.pod_name = of->pod ? plan->pod.name : target.kind == PG_KIND_POD ? target.name : "";
	rc = pg_kube_whoami(api, plan->user, sizeof(plan->user), err);
	if (rc == 0 || rc == -EACCES)
		rc = review_all(&w, &target, err);
	if (rc < 0)
		return rc;
	read_namespace(&w);
	if (of->pod)
		read_pod(&w);
	rc = try_profiles(&w, err);
	return rc < 0 ? rc : try_way(&w, err);
}
