#include "injector/kube_graft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_json.h"
#include "injector/kube_log.h"
#include "injector/kube_patch.h"
#include "injector/kube_start.h"
#include "injector/kube_watch.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"

enum {
	CONFLICTS_MAX = 5,
	NODE_CHECK_MS = 15000,
	EVENTS_MS = 1000,      /* an agent whose image is there runs by then */
	FIRST_LINE_MS = 10000, /* of a program that runs: an agent needs milliseconds */
};

/* One graft on its way. */
struct graft {
	struct pg_kube_api *api;
	const struct pg_pod *pod;
	const struct pg_graft_spec *spec;
	uint64_t deadline_ms;
	char name[PG_NAME_MAX + 1]; /* of the ephemeral container */
	char what[400];             /* "graft podgraft-x7k2p into pod 'web-0'" */
	json_t *seen;               /* the pod as last seen; owned */
	bool is_dry;                /* only ask, change nothing */
};

/* The server may refuse a repeated patch although the first one, whose answer was lost, went
 * through: an admission plugin had changed our words. True when the container is there. */
static bool is_there_already(struct graft *g)
{
	pg_auto_free char *path =
		pg_asprintf("/api/v1/namespaces/%s/pods/%s", g->pod->ns, g->pod->name);
	struct pg_kube_request rq = {
		.act = { g->what, "get", "pods", g->pod->ns },
		.method = "GET",
		.path = path,
		.deadline_ms = g->deadline_ms,
	};
	json_t *pod = NULL;
	if (!path || pg_kube_call(g->api, &rq, &pod, NULL, NULL) < 0)
		return false;
	if (!pg_json_find(pod, "spec.ephemeralContainers", "name", g->name)) {
		json_decref(pod);
		return false;
	}
	g->seen = pod;
	return true;
}

/* What an invalid patch (422) means here. */
static int explain_invalid(struct graft *g, const struct pg_kube_status *st, struct pg_err *err)
{
	const char *pod = g->pod->name;
	if (strncmp(st->cause, "metadata.uid:", 13) == 0) {
		pg_fail(err, -ESHUTDOWN, "pod '%s' was replaced by a new one of the same name.",
			pod);
		return pg_hint(err, PG_TARGET, "try again");
	}
	if (strstr(st->message, "static pods")) {
		pg_fail(err, -EOPNOTSUPP,
			"pod '%s' is a static pod: Kubernetes allows no agent in "
			"it.",
			pod);
		return pg_hint(err, PG_TARGET, "choose a pod that the API server made");
	}
	if (strstr(st->cause, ".targetContainerName:"))
		return pg_hint(err, PG_TARGET, "name another container with -c");
	if (strstr(st->message, "existing ephemeral containers")) {
		pg_fail(err, -EACCES,
			"something in this cluster changes agents that pod '%s' has already, which "
			"Kubernetes does not allow.",
			pod);
		return pg_hint(err, PG_CLUSTER,
			       "ask those who run its mutating webhooks and policies to leave "
			       "existing ephemeral containers alone");
	}
	return pg_hint(err, PG_CLUSTER,
		       "does something change the agent on its way? ask those who run the "
		       "cluster's mutating webhooks and policies");
}

static int send_patch(struct graft *g, struct pg_kube_status *st, struct pg_err *err)
{
	pg_auto_free char *body = pg_kube_patch_text(g->pod, g->spec, g->name);
	pg_auto_free char *path =
		pg_asprintf("/api/v1/namespaces/%s/pods/%s/ephemeralcontainers"
			    "?fieldManager=podgraft&fieldValidation=Strict%s",
			    g->pod->ns, g->pod->name, g->is_dry ? "&dryRun=All" : "");
	if (!body || !path)
		return pg_fail(err, -ENOMEM, "%s", g->what);
	struct pg_kube_request rq = {
		.act = { g->what, "patch", "pods/ephemeralcontainers", g->pod->ns },
		.method = "PATCH",
		.path = path,
		.content_type = "application/strategic-merge-patch+json",
		.body = body,
		.deadline_ms = g->deadline_ms,
	};
	int rc = -EAGAIN;
	for (int i = 0; i < CONFLICTS_MAX && rc == -EAGAIN; i++)
		rc = pg_kube_call(g->api, &rq, &g->seen, st, err);
	if (rc < 0 && st->http == 422 && is_there_already(g))
		return 0;
	return rc < 0 && st->http == 422 ? explain_invalid(g, st, err) : rc;
}

/* Mutating admission may have changed the agent into one that is of no use. */
static int check_kept(const struct graft *g, struct pg_err *err)
{
	int rc = pg_kube_patch_kept(g->seen, g->spec->profile, g->name, err);
	return rc < 0 ? pg_wrap(err, "%s", g->what) : 0;
}

/* A kubelet that does nothing for long may be gone: asks for the node, where that is allowed. */
static int check_node(struct graft *g, struct pg_err *err)
{
	char why[300] = "it gave no reason";
	pg_auto_free char *path = pg_asprintf("/api/v1/nodes/%s", g->pod->node);
	struct pg_kube_request rq = {
		.act = { g->what, "get", "nodes", "" },
		.method = "GET",
		.path = path,
		.deadline_ms = pg_loop_now_ms(g->api->loop) + 2000,
	};
	json_t *node = NULL;
	if (!path || pg_kube_call(g->api, &rq, &node, NULL, NULL) < 0)
		return 0;
	const json_t *ready = pg_json_find(node, "status.conditions", "type", "Ready");
	bool is_ready = strcmp(pg_json_str(ready, "status"), "True") == 0;
	pg_json_copy(ready, "message", why, sizeof(why));
	json_decref(node);
	if (is_ready)
		return 0;
	pg_fail(err, -EHOSTDOWN, "node '%s' of pod '%s' is not ready: %s.", g->pod->node,
		g->pod->name, why);
	return pg_hint(err, PG_CLUSTER, "see kubectl describe node %s", g->pod->node);
}

static int never_ran(struct graft *g, const struct pg_kube_start *start, struct pg_err *err)
{
	pg_fail(err, -ETIMEDOUT, "%s: it does not run yet; it waits for %s.", g->what,
		start->waiting_for);
	return pg_hint(err, PG_TARGET,
		       "see its events: kubectl -n %s describe pod %s; the next try goes on "
		       "waiting for it",
		       g->pod->ns, g->pod->name);
}

/* The kubelet quotes the log of a program that failed; otherwise we ask for it. */
static int explain_end(struct graft *g, struct pg_err *err)
{
	char said[300];
	size_t n = strlen(err->what);
	if (n > 0 && err->what[n - 1] != ')')
		return err->code;
	pg_kube_log_tail(g->api, g->pod->ns, g->pod->name, g->name, said, sizeof(said));
	if (said[0])
		snprintf(err->what + n, sizeof(err->what) - n, ": %s", said);
	return err->code;
}

/* Takes in the next change of the pod. -ETIMEDOUT: none until `until_ms`. */
static int next_change(struct graft *g, struct pg_kube_watch *w, uint64_t until_ms,
		       struct pg_err *err)
{
	enum pg_kube_change change;
	json_t *pod = NULL;
	int rc = pg_kube_watch_next(w, until_ms, &change, &pod, err);
	if (rc < 0)
		return rc;
	if (change == PG_KUBE_CHANGED &&
	    strcmp(pg_json_str(pod, "metadata.uid"), g->pod->uid) == 0) {
		json_decref(g->seen);
		g->seen = pod;
		return 0;
	}
	json_decref(pod);
	pg_fail(err, -ESHUTDOWN, "pod '%s' was deleted.", g->pod->name);
	return pg_hint(err, PG_TARGET, "choose another pod");
}

/* Waits until the container runs, or cannot. */
static int watch_start(struct graft *g, struct pg_kube_watch *w, struct pg_err *err)
{
	uint64_t began_ms = pg_loop_now_ms(g->api->loop);
	struct pg_kube_start start = { .container = g->name,
				       .told = { .next_ms = began_ms + EVENTS_MS } };
	uint64_t node_check_ms = began_ms + NODE_CHECK_MS;
	for (;;) {
		uint64_t now = pg_loop_now_ms(g->api->loop);
		switch (pg_kube_start_judge(&start, g->seen, now, err)) {
		case PG_KUBE_RUNNING:
			return 0;
		case PG_KUBE_STUCK:
			return err->code;
		case PG_KUBE_ENDED:
			return explain_end(g, err);
		case PG_KUBE_WAITING:
			break;
		}
		pg_kube_waits(g->api, "%s", start.waiting_for);
		uint64_t until = pg_min_u64(g->deadline_ms, node_check_ms);
		until = pg_min_u64(until, start.told.next_ms);
		if (start.recheck_ms > 0)
			until = pg_min_u64(until, start.recheck_ms);
		int rc = next_change(g, w, until, err);
		now = pg_loop_now_ms(g->api->loop);
		if (rc == -ETIMEDOUT && now >= g->deadline_ms)
			return never_ran(g, &start, err);
		if (rc < 0 && rc != -ETIMEDOUT)
			return rc;
		pg_kube_told_ask(g->api, g->pod, g->name, &start.told);
		if (now < node_check_ms)
			continue;
		node_check_ms = now + NODE_CHECK_MS;
		if (!start.is_known_to_kubelet && check_node(g, err) < 0)
			return err->code;
	}
}

static int await_running(struct graft *g, struct pg_err *err)
{
	const char *rv = pg_json_str(g->seen, "metadata.resourceVersion");
	struct pg_kube_watch *w =
		pg_kube_watch_new(g->api, g->pod->ns, g->pod->name, NULL, rv, g->deadline_ms);
	if (!w)
		return pg_fail(err, -ENOMEM, "%s", g->what);
	int rc = watch_start(g, w, err);
	pg_kube_waits(g->api, NULL);
	pg_kube_watch_free(w);
	return rc;
}

/* Reads the pod anew: the log ended, so the container may have. */
static int look_again(struct graft *g, struct pg_err *err)
{
	struct pg_kube_watch *w =
		pg_kube_watch_new(g->api, g->pod->ns, g->pod->name, NULL, "", g->deadline_ms);
	int rc = w ? next_change(g, w, g->deadline_ms, err) : pg_fail(err, -ENOMEM, "%s", g->what);
	if (rc == 0)
		rc = watch_start(g, w, err);
	pg_kube_watch_free(w);
	return rc;
}

static int await_banner(struct graft *g, struct pg_banner *banner, struct pg_err *err)
{
	int rc;
	uint64_t deadline =
		pg_min_u64(g->deadline_ms, pg_loop_now_ms(g->api->loop) + FIRST_LINE_MS);
	pg_kube_waits(g->api, "the first line of the agent's log");
	do {
		rc = pg_kube_log_banner(g->api, g->pod->ns, g->pod->name, g->name, deadline, banner,
					err);
		if (rc == -ENODATA && pg_kube_sleep(g->api, 250) == 0)
			rc = look_again(g, err) < 0 ? err->code : -ENODATA;
	} while (rc == -ENODATA && pg_loop_now_ms(g->api->loop) < deadline);
	pg_kube_waits(g->api, NULL);
	return rc;
}

int pg_kube_graft_ask(struct pg_kube_api *api, const struct pg_pod *pod,
		      const struct pg_graft_spec *spec, uint64_t deadline_ms,
		      char name_out[PG_NAME_MAX + 1], json_t **seen_out, struct pg_err *err)
{
	struct graft g = { .api = api, .pod = pod, .spec = spec, .deadline_ms = deadline_ms };
	struct pg_kube_status st;
	pg_kube_patch_name(g.name);
	snprintf(g.what, sizeof(g.what), "graft %s into pod '%s'", g.name, pod->name);
	int rc = pg_kube_patch_check(spec, err);
	if (rc == 0)
		rc = send_patch(&g, &st, err);
	if (rc == 0)
		rc = check_kept(&g, err);
	if (rc < 0) {
		json_decref(g.seen);
		return rc;
	}
	memcpy(name_out, g.name, sizeof(g.name));
	*seen_out = g.seen;
	return 0;
}

int pg_kube_graft_await(struct pg_kube_api *api, const struct pg_pod *pod, const char *name,
			json_t *seen, uint64_t deadline_ms, struct pg_graft *out, bool *has_run,
			struct pg_err *err)
{
	struct graft g = { .api = api, .pod = pod, .deadline_ms = deadline_ms, .seen = seen };
	struct pg_banner banner;
	snprintf(g.name, sizeof(g.name), "%s", name);
	snprintf(g.what, sizeof(g.what), "graft %s into pod '%s'", g.name, pod->name);
	int rc = await_running(&g, err);
	*has_run = rc == 0 || rc == -ECHILD;
	if (rc == 0)
		rc = await_banner(&g, &banner, err);
	json_decref(g.seen);
	if (rc < 0)
		return rc;
	*out = (struct pg_graft){ .port = banner.port };
	memcpy(out->container, g.name, sizeof(out->container));
	memcpy(out->agent_key, banner.key, sizeof(out->agent_key));
	return 0;
}

int pg_kube_graft_try(struct pg_kube_api *api, const struct pg_pod *pod,
		      const struct pg_graft_spec *spec, uint64_t deadline_ms,
		      struct pg_kube_status *refusal, struct pg_err *err)
{
	struct graft g = {
		.api = api, .pod = pod, .spec = spec, .deadline_ms = deadline_ms, .is_dry = true
	};
	pg_kube_patch_name(g.name);
	snprintf(g.what, sizeof(g.what), "graft an agent of profile '%s' into pod '%s'",
		 pg_profile_name(spec->profile), pod->name);
	int rc = pg_kube_patch_check(spec, err);
	if (rc == 0)
		rc = send_patch(&g, refusal, err);
	if (rc == 0)
		rc = check_kept(&g, err);
	json_decref(g.seen);
	return rc;
}
