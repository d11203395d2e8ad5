#include "injector/kube_platform.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_api.h"
#include "injector/kube_agents.h"
#include "injector/kube_dial.h"
#include "injector/kube_event.h"
#include "injector/kube_follow.h"
#include "injector/kube_graft.h"
#include "injector/kube_json.h"
#include "injector/kube_log.h"
#include "injector/kube_plan.h"
#include "injector/kube_record.h"
#include "injector/kube_resolve.h"
#include "injector/kube_service.h"
#include "injector/state_dir.h"
#include "proto/base/mem.h"

enum { START_MS = 60000, FRESH_MS = 2000, TURN_MS = 100, BANNER_MS = 5000 };

struct kube {
	struct pg_platform platform; /* first: the handle that callers have */
	struct pg_kubeconfig config;
	bool has_config;
	struct pg_kube_api api; /* http and auth in it are owned */
	struct pg_kube_dialer dialer;
	char *state_dir;
	uint64_t start_ms;
	json_t *seen; /* the pod resolved last, as it was then; owned */
	uint64_t seen_ms;
};

static struct kube *kube_of(struct pg_platform *p)
{
	return (struct kube *)p;
}

static int kube_resolve(struct pg_platform *p, const struct pg_target_spec *spec,
			struct pg_pod *out, struct pg_err *err)
{
	struct kube *k = kube_of(p);
	json_t *pod = NULL;
	int rc = pg_kube_resolve_pod(&k->api, k->config.namespace_, spec, out, &pod, err);
	if (rc < 0)
		return rc;
	snprintf(out->cluster, sizeof(out->cluster), "%s", k->config.server);
	json_decref(k->seen);
	k->seen = pod;
	k->seen_ms = pg_loop_now_ms(k->api.loop);
	pg_log(k->api.log, PG_DEBUG, "pod '%s' of namespace '%s', uid %s, on node '%s'", out->name,
	       out->ns, out->uid, out->node);
	return 0;
}

static int kube_follow(struct pg_platform *p, const struct pg_target_spec *spec,
		       struct pg_pod_follow **out, struct pg_err *err)
{
	struct kube *k = kube_of(p);
	return pg_kube_follow(&k->api, k->config.namespace_, spec, out, err);
}

static int kube_next(struct pg_platform *p, struct pg_pod_follow *f, uint64_t deadline_ms,
		     struct pg_pod_change *out, struct pg_err *err)
{
	(void)p;
	return pg_kube_follow_next(f, deadline_ms, out, err);
}

static void kube_unfollow(struct pg_platform *p, struct pg_pod_follow *f)
{
	(void)p;
	pg_kube_follow_free(f);
}

/* Takes the failure too: whoever asks has to hear of it. */
static int kube_credential(struct pg_platform *p, unsigned after, struct pg_buf *line,
			   struct pg_err *err)
{
	const struct pg_exec_answer *answer;
	struct pg_err why = { .code = 0 };
	unsigned number;
	int rc = pg_kube_auth_share(kube_of(p)->api.auth, after, &answer, &number, &why);
	rc = rc == 0 ? pg_credential_line(answer, number, line)
		     : pg_credential_failure_line(&why, line);
	return rc < 0 ? pg_fail(err, rc, "pass credentials on") : 0;
}

static int kube_service(struct pg_platform *p, const char *ns, const char *name,
			struct pg_service *out, struct pg_err *err)
{
	return pg_kube_service_get(&kube_of(p)->api, ns, name, out, err);
}

/* Makes sure that k->seen is `pod`, and not long ago. */
static int see_pod(struct kube *k, const struct pg_pod *pod, struct pg_err *err)
{
	char what[300];
	if (strcmp(pg_json_str(k->seen, "metadata.uid"), pod->uid) == 0 &&
	    pg_loop_now_ms(k->api.loop) - k->seen_ms < FRESH_MS)
		return 0;
	pg_auto_free char *path = pg_asprintf("/api/v1/namespaces/%s/pods/%s", pod->ns, pod->name);
	snprintf(what, sizeof(what), "look at pod '%s'", pod->name);
	struct pg_kube_request rq = {
		.act = { what, "get", "pods", pod->ns },
		.method = "GET",
		.path = path,
	};
	json_t *now = NULL;
	int rc = path ? pg_kube_call(&k->api, &rq, &now, NULL, err)
		      : pg_fail(err, -ENOMEM, "%s", what);
	if (rc < 0)
		return rc;
	json_decref(k->seen);
	k->seen = now;
	k->seen_ms = pg_loop_now_ms(k->api.loop);
	return 0;
}

static struct pg_kube_record record_of(const struct kube *k)
{
	return (struct pg_kube_record){ .dir = k->state_dir, .log = k->api.log };
}

/* Until no other podgraft of this person grafts into the pod, or one has: true with *out. Without
 * the lock, for whatever reason, there may be two agents, which is no harm. */
static bool await_others(struct kube *k, const struct pg_pod *pod, const struct pg_graft_spec *spec,
			 uint64_t deadline, int *lock, struct pg_graft *out, struct pg_err *err)
{
	while ((*lock = pg_state_lock_pod(k->state_dir, pod->uid)) == -EBUSY) {
		pg_kube_waits(&k->api, "another podgraft, which grafts an agent");
		if (pg_kube_sleep(&k->api, TURN_MS) < 0 || pg_loop_now_ms(k->api.loop) > deadline)
			break;
	}
	pg_kube_waits(&k->api, NULL);
	k->seen_ms = 0;
	struct pg_kube_record record = record_of(k);
	return see_pod(k, pod, err) == 0 && pg_kube_record_find(&record, pod, spec, k->seen, out);
}

/* One that an earlier try has asked for, in vain so far, or a new one: on record from the
 * beginning, as its entry stands in the pod for good. */
static int ask_for_agent(struct kube *k, const struct pg_pod *pod, const struct pg_graft_spec *spec,
			 uint64_t deadline, struct pg_graft *out, json_t **seen, struct pg_err *err)
{
	struct pg_kube_record record = record_of(k);
	*out = (struct pg_graft){ .port = 0 };
	if (pg_kube_record_awaited(&record, pod, spec, k->seen, out->container)) {
		pg_log(k->api.log, PG_DEBUG, "agent '%s' was asked for and may start yet",
		       out->container);
		*seen = json_incref(k->seen);
		return 0;
	}
	pg_log(k->api.log, PG_DEBUG, "graft an agent of profile '%s' from image %s",
	       pg_profile_name(spec->profile), spec->image);
	int rc = pg_kube_graft_ask(&k->api, pod, spec, deadline, out->container, seen, err);
	if (rc == 0)
		pg_kube_record_put(&record, pod, spec, out);
	k->seen_ms = 0; /* the pod has one entry more */
	return rc;
}

static int graft_new(struct kube *k, const struct pg_pod *pod, const struct pg_graft_spec *spec,
		     uint64_t deadline, struct pg_graft *out, struct pg_err *err)
{
	struct pg_kube_record record = record_of(k);
	struct pg_graft asked;
	json_t *seen = NULL;
	bool has_run = false;
	int rc = ask_for_agent(k, pod, spec, deadline, &asked, &seen, err);
	if (rc == 0)
		rc = pg_kube_graft_await(&k->api, pod, asked.container, seen, deadline, out,
					 &has_run, err);
	if (rc < 0 && has_run && err->whose == PG_TARGET) /* a dead one, or none of ours */
		pg_kube_record_drop(&record, pod->uid, asked.container);
	if (rc < 0)
		return rc;
	pg_log(k->api.log, PG_DEBUG, "agent '%s' listens on 127.0.0.1:%u in the pod",
	       out->container, out->port);
	pg_kube_record_put(&record, pod, spec, out);
	return 0;
}

static int kube_graft(struct pg_platform *p, const struct pg_pod *pod,
		      const struct pg_graft_spec *spec, struct pg_graft *out, struct pg_err *err)
{
	struct kube *k = kube_of(p);
	uint64_t deadline = pg_loop_now_ms(k->api.loop) + k->start_ms;
	int rc = see_pod(k, pod, err);
	if (rc < 0)
		return rc;
	struct pg_kube_record record = record_of(k);
	bool found = pg_kube_record_find(&record, pod, spec, k->seen, out);
	pg_auto_close int lock = found ? -1 : pg_state_lock_pod(k->state_dir, pod->uid);
	if (lock == -EBUSY)
		found = await_others(k, pod, spec, deadline, &lock, out, err);
	if (!found)
		return graft_new(k, pod, spec, deadline, out, err);
	pg_log(k->api.log, PG_DEBUG, "agent '%s' is on record and runs: used again",
	       out->container);
	return 0;
}

static int kube_plan(struct pg_platform *p, const struct pg_target_spec *target,
		     const struct pg_graft_spec *graft, struct pg_plan *out, struct pg_err *err)
{
	struct kube *k = kube_of(p);
	struct pg_err unseen = { .code = 0 };
	*out = (struct pg_plan){ .right_count = 0 };
	int seen = kube_resolve(p, target, &out->pod, &unseen);
	if (seen < 0 && seen != -EACCES) {
		*err = unseen;
		return seen;
	}
	struct pg_kube_plan_for of = {
		.ns = k->config.namespace_,
		.target = target,
		.graft = graft,
		.pod = seen == 0 ? k->seen : NULL,
		.dialer = &k->dialer,
	};
	int rc = pg_kube_plan(&k->api, &of, out, err);
	if (rc < 0 || seen == 0 || pg_plan_lacks_right(out))
		return rc;
	*err = unseen; /* it was no right of ours that is missing */
	return seen;
}

static void kube_forget(struct pg_platform *p, const struct pg_pod *pod,
			const struct pg_graft *graft)
{
	struct pg_kube_record record = record_of(kube_of(p));
	pg_kube_record_drop(&record, pod->uid, graft->container);
}

static int kube_agents(struct pg_platform *p, const struct pg_agents_wish *wish,
		       void (*found)(void *ctx, const struct pg_agent_seen *agent), void *ctx,
		       struct pg_err *err)
{
	struct kube *k = kube_of(p);
	return pg_kube_agents(&k->api, k->config.namespace_, wish, found, ctx, err);
}

static int kube_agent_log(struct pg_platform *p, const struct pg_agent_seen *agent,
			  void (*line)(void *ctx, const char *text), void *ctx, struct pg_err *err)
{
	struct kube *k = kube_of(p);
	return pg_kube_log_last(&k->api, agent->ns, agent->pod, agent->container, line, ctx, err);
}

static int kube_adopt(struct pg_platform *p, const struct pg_agent_seen *agent,
		      struct pg_pod *pod_out, struct pg_graft *out, struct pg_err *err)
{
	struct kube *k = kube_of(p);
	struct pg_banner banner;
	*pod_out = (struct pg_pod){ .port_count = 0 };
	snprintf(pod_out->cluster, sizeof(pod_out->cluster), "%s", k->config.server);
	memcpy(pod_out->ns, agent->ns, sizeof(pod_out->ns));
	memcpy(pod_out->name, agent->pod, sizeof(pod_out->name));
	memcpy(pod_out->uid, agent->uid, sizeof(pod_out->uid));
	*out = (struct pg_graft){ .reused = true };
	memcpy(out->container, agent->container, sizeof(out->container));
	struct pg_kube_record record = record_of(k);
	if (pg_kube_record_known(&record, k->config.server, agent->uid, agent->container, out))
		return 0;
	int rc = pg_kube_log_banner(&k->api, agent->ns, agent->pod, agent->container,
				    pg_loop_now_ms(k->api.loop) + BANNER_MS, &banner, err);
	if (rc < 0)
		return rc;
	out->port = banner.port;
	memcpy(out->agent_key, banner.key, sizeof(out->agent_key));
	return 0;
}

static int kube_note(struct pg_platform *p, const struct pg_pod *pod, const char *reason,
		     const char *message, struct pg_err *err)
{
	return pg_kube_event(&kube_of(p)->api, pod, reason, message, err);
}

static const char *kube_transport(const struct pg_platform *p)
{
	enum pg_transport used = ((const struct kube *)p)->dialer.used;
	return used == PG_TRANSPORT_AUTO ? "" : pg_transport_name(used);
}

static int kube_dial(struct pg_platform *p, const struct pg_pod *pod, uint16_t port,
		     struct pg_lane_events events, void *ctx, struct pg_lane **out,
		     struct pg_err *err)
{
	struct kube *k = kube_of(p);
	int rc = pg_kube_dial(&k->dialer, pod, port, events, ctx, out, err);
	if (rc == 0)
		pg_log(k->api.log, PG_DEBUG, "port-forward to port %u of pod '%s' by %s", port,
		       pod->name, kube_transport(p));
	return rc;
}

static const char *kube_waiting_for(const struct pg_platform *p)
{
	return ((const struct kube *)p)->api.waiting_for;
}

static void kube_close(struct pg_platform *p)
{
	struct kube *k = kube_of(p);
	json_decref(k->seen);
	pg_kube_auth_free(k->api.auth);
	pg_http_free(k->api.http);
	if (k->has_config)
		pg_kubeconfig_fini(&k->config);
	free(k->state_dir);
	free(k);
}

static const struct pg_platform_ops kube_ops = {
	.resolve = kube_resolve,
	.follow = kube_follow,
	.next = kube_next,
	.unfollow = kube_unfollow,
	.credential = kube_credential,
	.plan = kube_plan,
	.service = kube_service,
	.graft = kube_graft,
	.agents = kube_agents,
	.agent_log = kube_agent_log,
	.adopt = kube_adopt,
	.note = kube_note,
	.forget = kube_forget,
	.dial = kube_dial,
	.transport = kube_transport,
	.waiting_for = kube_waiting_for,
	.close = kube_close,
};

static int open_parts(struct kube *k, struct pg_loop *loop, const struct pg_kube_flags *flags,
		      struct pg_err *err)
{
	int rc = pg_kubeconfig_load(flags, &k->config, err);
	if (rc < 0)
		return rc;
	k->has_config = true;
	k->api.loop = loop;
	k->api.request_ms = k->config.request_timeout_ms;
	k->state_dir = pg_state_dir(err);
	if (!k->state_dir)
		return err->code;
	k->api.http = pg_http_new(loop, err);
	if (!k->api.http)
		return err->code;
	k->api.auth = pg_kube_auth_new(loop, &k->config, err);
	return k->api.auth ? 0 : err->code;
}

struct pg_platform *pg_kubernetes_new(struct pg_loop *loop, const struct pg_kube_flags *flags,
				      const struct pg_kube_options *options,
				      const struct pg_log *log, struct pg_err *err)
{
	struct pg_err inner = { .code = 0 };
	struct kube *k = pg_calloc(1, sizeof(*k));
	if (!k) {
		pg_fail(err, -ENOMEM, "open the cluster");
		return NULL;
	}
	k->platform.ops = &kube_ops;
	k->start_ms = options->start_ms ? options->start_ms : START_MS;
	k->api.log = log;
	int rc = open_parts(k, loop, flags, &inner);
	if (rc == 0 && options->credentials)
		pg_kube_auth_from(k->api.auth, options->credentials);
	if (rc == 0)
		rc = pg_kube_dialer_init(&k->dialer, &k->api, k->config.server, k->state_dir,
					 options->transport, &inner);
	if (rc == 0) {
		pg_log(log, PG_DEBUG, "API server %s", k->config.server);
		return &k->platform;
	}
	kube_close(&k->platform);
	if (err)
		*err = inner;
	return NULL;
}
