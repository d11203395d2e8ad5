#include "injector/kube_dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "injector/state.h"
#include "proto/base/num.h"

enum { AGAIN_MS = 10000, FIRST_PAUSE_MS = 200, LONGEST_PAUSE_MS = 2000 };

int pg_kube_dialer_init(struct pg_kube_dialer *d, struct pg_kube_api *api, const char *cluster,
			const char *state_dir, const char *transport, struct pg_err *err)
{
	*d = (struct pg_kube_dialer){ .api = api, .cluster = cluster, .state_dir = state_dir };
	if (!transport || pg_transport_parse(transport, &d->wanted) == 0)
		return 0;
	pg_fail(err, -EINVAL, "'%.60s' is no transport", transport);
	return pg_hint(err, PG_USER, "--transport is auto, spdy, tunnel or websocket");
}

/* One call to dial: where to, and what became of each transport. */
struct attempt {
	struct pg_kube_dialer *d;
	const struct pg_pod *pod;
	uint16_t port;
	struct pg_lane_events events;
	void *ctx;
	bool refused[PG_TRANSPORT_COUNT]; /* where another may help */
};

static int once(struct attempt *a, enum pg_transport transport, struct pg_lane **out,
		struct pg_portfwd_refusal *why, struct pg_err *err)
{
	const struct pg_http_peer *peer;
	int rc = pg_kube_auth_peer(a->d->api->auth, &peer, err);
	if (rc < 0)
		return rc;
	return pg_portfwd_dial(a->d->api->http, peer, a->pod->ns, a->pod->name, a->port, transport,
			       a->events, a->ctx, out, why, err);
}

/* By one transport, as often as it may still help. */
static int by(struct attempt *a, enum pg_transport transport, struct pg_lane **out,
	      struct pg_portfwd_refusal *why, struct pg_err *err)
{
	struct pg_kube_api *api = a->d->api;
	uint64_t deadline = pg_loop_now_ms(api->loop) + AGAIN_MS, pause = FIRST_PAUSE_MS;
	for (bool renewed = false;;) {
		*why = (struct pg_portfwd_refusal){ .transport = transport };
		int rc = once(a, transport, out, why, err);
		if (rc == 0)
			return 0;
		if (why->is_unauthorized && !renewed && pg_kube_auth_refused(api->auth)) {
			renewed = true;
			continue;
		}
		if (rc == -ECONNREFUSED && err->whose == PG_TARGET)
			return rc; /* an agent listens before it says so: this one is gone */
		uint64_t wait = why->retry_after_s > 0 ? why->retry_after_s * 1000 : pause;
		if (!why->again_may_help || pg_loop_now_ms(api->loop) + wait > deadline)
			return rc;
		pg_log(api->log, PG_DEBUG, "%s; trying again in %llu ms", err->what,
		       (unsigned long long)wait);
		rc = pg_kube_sleep(api, wait);
		if (rc < 0)
			return pg_fail(err, rc, "port-forward to pod '%s'", a->pod->name);
		pause = pg_min_u64(pause * 2, LONGEST_PAUSE_MS);
	}
}

static void put_refusals(void *ctx, struct pg_state *st)
{
	const struct attempt *a = ctx;
	struct pg_state_refusal r = { .until_s = (int64_t)time(NULL) + PG_STATE_REFUSED_S };
	snprintf(r.cluster, sizeof(r.cluster), "%s", a->d->cluster);
	for (int t = PG_TRANSPORT_SPDY; t < PG_TRANSPORT_COUNT; t++) {
		if (!a->refused[t])
			continue;
		snprintf(r.transport, sizeof(r.transport), "%s",
			 pg_transport_name((enum pg_transport)t));
		pg_state_refuse(st, &r);
	}
}

/* Another transport worked: the refusals were about the way, not about the pod. */
static void remember(struct attempt *a)
{
	struct pg_err err = { .code = 0 };
	if (pg_state_change(a->d->state_dir, put_refusals, a, a->d->api->log, &err) < 0)
		pg_log(a->d->api->log, PG_DEBUG, "%s", err.what);
}

/* Marks in `skip` what the cluster refused within a day; nothing when that would leave none. */
static void recall(const struct pg_kube_dialer *d, bool skip[PG_TRANSPORT_COUNT])
{
	pg_auto_free struct pg_state *st = pg_state_load(d->state_dir, d->api->log);
	bool is_one_left = false;
	for (int t = PG_TRANSPORT_SPDY; t < PG_TRANSPORT_COUNT; t++) {
		skip[t] = st &&
			  pg_state_refuses(st, d->cluster, pg_transport_name((enum pg_transport)t),
					   (int64_t)time(NULL));
		is_one_left |= !skip[t];
	}
	if (!is_one_left)
		memset(skip, 0, PG_TRANSPORT_COUNT * sizeof(skip[0]));
}

/* By the first transport that is let through. */
static int by_any(struct attempt *a, struct pg_lane **out, struct pg_portfwd_refusal *why,
		  struct pg_err *err)
{
	bool skip[PG_TRANSPORT_COUNT] = { false };
	int rc = -EPROTO, refusals = 0;
	recall(a->d, skip);
	for (int t = PG_TRANSPORT_SPDY; t < PG_TRANSPORT_COUNT; t++) {
		if (skip[t])
			continue;
		rc = by(a, (enum pg_transport)t, out, why, err);
		if (rc == 0 && refusals > 0)
			remember(a);
		if (rc == 0 || !why->other_may_help)
			return rc;
		pg_log(a->d->api->log, PG_DEBUG, "%s; trying another transport", err->what);
		a->refused[t] = true;
		refusals++;
	}
	return rc;
}

int pg_kube_dial(struct pg_kube_dialer *d, const struct pg_pod *pod, uint16_t port,
		 struct pg_lane_events events, void *ctx, struct pg_lane **out, struct pg_err *err)
{
	struct attempt a = { .d = d, .pod = pod, .port = port, .events = events, .ctx = ctx };
	struct pg_portfwd_refusal why = { .status = 0 };
	struct pg_err inner = { .code = 0 };
	enum pg_transport first = d->wanted ? d->wanted : d->used;
	pg_kube_waits(d->api, "a port-forward to pod '%s'", pod->name);
	int rc = first ? by(&a, first, out, &why, &inner) : by_any(&a, out, &why, &inner);
	if (rc < 0 && !d->wanted && d->used && why.other_may_help)
		rc = by_any(&a, out, &why, &inner); /* the way has changed since */
	pg_kube_waits(d->api, NULL);
	if (rc == 0) {
		d->used = why.transport;
		return 0;
	}
	if (err)
		*err = inner;
	return rc;
}
