#include "injector/kube_resolve.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_json.h"
#include "injector/kube_pod.h"
#include "injector/kube_selector.h"
#include "injector/kube_watch.h"
#include "injector/target.h"
#include "proto/base/mem.h"

enum { SELECTOR_MAX = 4096 };

/* Where the API keeps each kind that selects pods. */
static const struct {
	const char *root, *collection, *rbac;
	bool selects_by_map; /* spec.selector is a map of labels, not an object */
} kinds[] = {
	[PG_KIND_POD] = { "/api/v1", "pods", "pods", false },
	[PG_KIND_DEPLOYMENT] = { "/apis/apps/v1", "deployments", "deployments.apps", false },
	[PG_KIND_STATEFULSET] = { "/apis/apps/v1", "statefulsets", "statefulsets.apps", false },
	[PG_KIND_DAEMONSET] = { "/apis/apps/v1", "daemonsets", "daemonsets.apps", false },
	[PG_KIND_REPLICASET] = { "/apis/apps/v1", "replicasets", "replicasets.apps", false },
	[PG_KIND_REPLICATIONCONTROLLER] = { "/api/v1", "replicationcontrollers",
					    "replicationcontrollers", true },
	[PG_KIND_JOB] = { "/apis/batch/v1", "jobs", "jobs.batch", false },
	[PG_KIND_SERVICE] = { "/api/v1", "services", "services", true },
};
static_assert(PG_LEN(kinds) == PG_KIND_COUNT, "one row per kind");

const char *pg_kube_kind_rbac(enum pg_target_kind kind)
{
	assert(kind < PG_KIND_COUNT);
	return kinds[kind].rbac;
}

/* One search, from target to pod. */
struct search {
	struct pg_kube_api *api;
	const char *ns;
	char shown[300];        /* "deployment 'web'", "selector 'app=web'" */
	struct pg_buf selector; /* labelSelector text; unused for a pod by name */
	json_t *service;        /* owned; with svc/NAME */
	json_t *best;           /* owned; the choice so far */
	struct pg_kube_rank rank;
	const char *only;  /* the name of the one to choose, or NULL */
	size_t live;       /* pods that could have been chosen */
	char refused[400]; /* why the workload's controller may make no pod, in the server's words
			    */
	uint64_t deadline_ms;
};

static int get_object(struct search *s, const struct pg_target *t, json_t **out, struct pg_err *err)
{
	char what[320];
	char *path = pg_asprintf("%s/namespaces/%s/%s/%s", kinds[t->kind].root, s->ns,
				 kinds[t->kind].collection, t->name);
	if (!path)
		return pg_fail(err, -ENOMEM, "find %s", s->shown);
	snprintf(what, sizeof(what), "find %s", s->shown);
	struct pg_kube_request rq = {
		.act = { what, "get", kinds[t->kind].rbac, s->ns },
		.method = "GET",
		.path = path,
	};
	int rc = pg_kube_call(s->api, &rq, out, NULL, err);
	free(path);
	return rc;
}

/* The selector of the workload or Service `t`. */
static int find_selector(struct search *s, const struct pg_target *t, struct pg_err *err)
{
	json_t *object = NULL;
	int rc = get_object(s, t, &object, err);
	if (rc < 0)
		return rc;
	const json_t *selector = pg_json_at(object, "spec.selector");
	rc = kinds[t->kind].selects_by_map ? pg_kube_selector_map(selector, &s->selector)
					   : pg_kube_selector_object(selector, &s->selector);
	if (t->kind == PG_KIND_SERVICE)
		s->service = json_incref(object);
	const json_t *failure = pg_json_find(object, "status.conditions", "type", "ReplicaFailure");
	snprintf(s->refused, sizeof(s->refused), "%s", pg_json_str(failure, "message"));
	pg_sanitize(s->refused);
	json_decref(object);
	if (rc == -ENOENT) {
		pg_fail(err, rc, "%s has no selector, so it names no pods.", s->shown);
		return pg_hint(err, PG_TARGET, "name a pod, a workload, or a selector with -l");
	}
	return rc < 0 ? pg_fail(err, rc, "read the selector of %s", s->shown) : 0;
}

static void forget_choice(void *ctx)
{
	struct search *s = ctx;
	json_decref(s->best);
	s->best = NULL;
	s->live = 0;
}

static void consider(void *ctx, json_t *pod)
{
	struct search *s = ctx;
	struct pg_kube_rank rank;
	enum pg_kube_life life = pg_kube_pod_life(pod);
	pg_kube_rank_read(pod, &rank);
	if (life == PG_KUBE_LIVE || life == PG_KUBE_UNSCHEDULED)
		s->live++;
	if (s->best && pg_kube_rank_compare(&s->rank, &rank) <= 0)
		return;
	json_decref(s->best);
	s->best = json_incref(pod);
	s->rank = rank;
}

static int list_pods(struct search *s, struct pg_err *err)
{
	struct pg_buf path = PG_BUF_INIT(3 * SELECTOR_MAX + 512);
	char what[340];
	snprintf(what, sizeof(what), "list the pods of %s", s->shown);
	int rc = pg_buf_addf(&path, "/api/v1/namespaces/%s/pods?labelSelector=", s->ns);
	if (rc == 0)
		rc = pg_kube_escape(&path, pg_buf_str(&s->selector));
	struct pg_kube_request rq = {
		.act = { what, "list", "pods", s->ns },
		.method = "GET",
		.path = pg_buf_str(&path),
	};
	struct pg_kube_list list = { forget_choice, consider, s };
	rc = rc < 0 ? pg_fail(err, rc, "%s", what) : pg_kube_each(s->api, &rq, &list, NULL, 0, err);
	pg_buf_fini(&path);
	return rc;
}

static int none_appeared(struct search *s, struct pg_err *err)
{
	pg_fail(err, -ETIMEDOUT, "%s has no pod that runs in namespace '%s'.", s->shown, s->ns);
	return pg_hint(err, PG_TARGET,
		       "is it scaled to 0, or in another namespace (-n)? "
		       "kubectl -n %s get pods",
		       s->ns);
}

/* Quota, limits and admission refuse pods to the controller, not to us: waiting helps nobody. */
static int none_allowed(struct search *s, struct pg_err *err)
{
	pg_fail(err, -EACCES, "%s has no pod that runs, and the cluster allows it none: %.330s.",
		s->shown, s->refused);
	if (strstr(s->refused, "exceeded quota"))
		return pg_hint(err, PG_CLUSTER,
			       "free some of the quota: kubectl -n %s describe resourcequota",
			       s->ns);
	return pg_hint(err, PG_CLUSTER, "see its events: kubectl -n %s get events", s->ns);
}

/* Waits until a pod of the selector can be used. */
static int await_pod(struct search *s, struct pg_err *err)
{
	struct pg_kube_watch *w = pg_kube_watch_new(s->api, s->ns, NULL, pg_buf_str(&s->selector),
						    "", s->deadline_ms);
	int rc = w ? 0 : pg_fail(err, -ENOMEM, "wait for a pod");
	forget_choice(s);
	pg_kube_waits(s->api, "a pod of %s", s->shown);
	while (rc == 0 && s->live == 0) {
		enum pg_kube_change change;
		json_t *pod = NULL;
		rc = pg_kube_watch_next(w, s->deadline_ms, &change, &pod, err);
		if (rc == 0 && change == PG_KUBE_CHANGED) {
			forget_choice(s);
			consider(s, pod);
		}
		json_decref(pod);
	}
	pg_kube_waits(s->api, NULL);
	pg_kube_watch_free(w);
	return rc == -ETIMEDOUT ? none_appeared(s, err) : rc;
}

/* Why the scheduler has not found a node, in its own words. */
static int never_scheduled(const struct search *s, struct pg_err *err)
{
	char why[300] = "no node was found";
	const json_t *c = pg_json_find(s->best, "status.conditions", "type", "PodScheduled");
	pg_json_copy(c, "message", why, sizeof(why));
	pg_fail(err, -ETIMEDOUT, "pod '%s' is not on a node yet: %s.", s->rank.name, why);
	return pg_hint(err, PG_TARGET, "see its events: kubectl -n %s describe pod %s", s->ns,
		       s->rank.name);
}

/* Waits until the chosen pod is on a node. */
static int await_node(struct search *s, struct pg_err *err)
{
	struct pg_kube_watch *w =
		pg_kube_watch_new(s->api, s->ns, s->rank.name, NULL,
				  pg_json_str(s->best, "metadata.resourceVersion"), s->deadline_ms);
	int rc = w ? 0 : pg_fail(err, -ENOMEM, "wait for a pod");
	pg_kube_waits(s->api, "a node for pod '%s'", s->rank.name);
	while (rc == 0 && pg_kube_pod_life(s->best) == PG_KUBE_UNSCHEDULED) {
		enum pg_kube_change change;
		json_t *pod = NULL;
		rc = pg_kube_watch_next(w, s->deadline_ms, &change, &pod, err);
		if (rc == 0 && change == PG_KUBE_CHANGED) {
			json_decref(s->best);
			s->best = json_incref(pod);
		} else if (rc == 0) {
			rc = pg_fail(err, -ESHUTDOWN, "pod '%s' was deleted.", s->rank.name);
			pg_hint(err, PG_TARGET, "choose another pod");
		}
		json_decref(pod);
	}
	pg_kube_waits(s->api, NULL);
	pg_kube_watch_free(w);
	return rc == -ETIMEDOUT ? never_scheduled(s, err) : rc;
}

static int has_ended(const struct search *s, int code, struct pg_err *err)
{
	pg_fail(err, code, "pod '%s' has ended (%s).", s->rank.name,
		pg_json_str(s->best, "status.phase"));
	return pg_hint(err, PG_TARGET, "choose a pod that runs: kubectl -n %s get pods", s->ns);
}

/* Refuses a pod in which the kubelet would start nothing. */
static int check_life(struct search *s, struct pg_err *err)
{
	enum pg_kube_life life = pg_kube_pod_life(s->best);
	if (life == PG_KUBE_UNSCHEDULED)
		return await_node(s, err);
	if (life == PG_KUBE_LIVE)
		return 0;
	if (life == PG_KUBE_FINISHED)
		return has_ended(s, -ESHUTDOWN, err);
	pg_fail(err, -ESHUTDOWN, "pod '%s' is being deleted.", s->rank.name);
	return pg_hint(err, PG_TARGET, "choose a pod that runs: kubectl -n %s get pods", s->ns);
}

/* A selector's choice that is being deleted is likely to be replaced; one that ended is not. */
static bool worth_waiting(const struct search *s)
{
	return s->live == 0 && (!s->best || pg_kube_pod_life(s->best) == PG_KUBE_DELETING);
}

/* The pod called `name`. One that has ended is as good as deleted: nothing replaces it. */
static int by_name(struct search *s, const char *name, struct pg_err *err)
{
	struct pg_target t = { .kind = PG_KIND_POD };
	snprintf(t.name, sizeof(t.name), "%s", name);
	snprintf(s->shown, sizeof(s->shown), "pod '%s'", t.name);
	int rc = get_object(s, &t, &s->best, err);
	if (rc < 0)
		return rc;
	pg_kube_rank_read(s->best, &s->rank);
	s->live = 1;
	return pg_kube_pod_life(s->best) == PG_KUBE_FINISHED ? has_ended(s, -ENOENT, err) : 0;
}

static int by_selector(struct search *s, struct pg_err *err)
{
	if (s->only)
		return by_name(s, s->only, err);
	int rc = list_pods(s, err);
	if (rc < 0)
		return rc;
	if (!worth_waiting(s))
		return 0;
	return s->refused[0] ? none_allowed(s, err) : await_pod(s, err);
}

/* What the person's words select: a pod by its name in *t, or s->selector with *t of another kind.
 */
static int read_words(struct search *s, const struct pg_target_spec *spec, struct pg_target *t,
		      struct pg_err *err)
{
	*t = (struct pg_target){ .kind = PG_KIND_COUNT };
	if (!spec->target) {
		snprintf(s->shown, sizeof(s->shown), "selector '%.200s'", spec->selector);
		int rc = pg_buf_add_str(&s->selector, spec->selector);
		return rc < 0 ? pg_fail(err, rc, "read -l") : 0;
	}
	int rc = pg_target_parse(spec->target, t, err);
	if (rc < 0)
		return rc;
	snprintf(s->shown, sizeof(s->shown), "%s '%s'", pg_target_kind_name(t->kind), t->name);
	return t->kind == PG_KIND_POD ? 0 : find_selector(s, t, err);
}

/* From the person's words to s->best. */
static int choose(struct search *s, const struct pg_target_spec *spec, struct pg_err *err)
{
	struct pg_target t;
	int rc = read_words(s, spec, &t, err);
	if (rc < 0)
		return rc;
	if (t.kind == PG_KIND_POD)
		return by_name(s, t.name, err);
	rc = by_selector(s, err);
	if (rc == -EINVAL && !spec->target)
		pg_hint(err, PG_USER, "-l takes kubectl's selectors, as in app=web,tier!=db");
	return rc;
}

int pg_kube_resolve_pod(struct pg_kube_api *api, const char *ns, const struct pg_target_spec *spec,
			struct pg_pod *out, json_t **pod_out, struct pg_err *err)
{
	struct search s = {
		.api = api, .ns = ns, .only = spec->only, .selector = PG_BUF_INIT(SELECTOR_MAX)
	};
	s.deadline_ms = pg_loop_now_ms(api->loop) + spec->wait_ms;
	int rc = choose(&s, spec, err);
	if (rc == 0)
		rc = check_life(&s, err);
	if (rc == 0)
		rc = pg_kube_pod_read(s.best, spec->container, out, err);
	if (rc == 0) {
		pg_kube_service_read(s.service, out);
		out->others = s.live > 0 ? s.live - 1 : 0;
		*pod_out = json_incref(s.best);
	}
	pg_buf_fini(&s.selector);
	json_decref(s.service);
	json_decref(s.best);
	return rc;
}

int pg_kube_resolve_selector(struct pg_kube_api *api, const char *ns,
			     const struct pg_target_spec *spec, struct pg_buf *out,
			     struct pg_err *err)
{
	struct search s = { .api = api, .ns = ns, .selector = PG_BUF_INIT(SELECTOR_MAX) };
	struct pg_target t;
	int rc = read_words(&s, spec, &t, err);
	if (rc == 0 && t.kind == PG_KIND_POD) {
		rc = pg_fail(err, -EINVAL, "%s is one pod, not many", s.shown);
		pg_hint(err, PG_USER,
			"name what they have in common, as in deploy/NAME or -l LABELS");
	}
	if (rc == 0 && pg_buf_add_str(out, pg_buf_str(&s.selector)) < 0)
		rc = pg_fail(err, -ENOMEM, "follow the pods of %s", s.shown);
	pg_buf_fini(&s.selector);
	json_decref(s.service);
	return rc;
}
