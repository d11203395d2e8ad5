#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "injector/http.h"
#include "proto/base/err.h"
#include "proto/io/lane.h"

/* Kubernetes' port-forward as a lane: one TCP connection to 127.0.0.1:port inside a pod, by any of
 * the protocols that API servers speak. None of them carries a half-close: a lane ends as a whole.
 */

enum pg_transport {
	PG_TRANSPORT_AUTO,      /* the next three, in this order, until one is accepted */
	PG_TRANSPORT_SPDY,      /* SPDY/3.1 upgrade of a POST: the fastest */
	PG_TRANSPORT_TUNNEL,    /* the same frames in WebSocket messages: servers from 1.31 */
	PG_TRANSPORT_WEBSOCKET, /* WebSocket v4.channel.k8s.io: every server, slow towards the pod
				 */
	PG_TRANSPORT_COUNT
};

/* "auto", "spdy", "tunnel", "websocket". */
const char *pg_transport_name(enum pg_transport transport);
/* 0, or -EINVAL with *out untouched. */
int pg_transport_parse(const char *name, enum pg_transport *out);

/* What came of an attempt, for whoever decides what to try next. */
struct pg_portfwd_refusal {
	enum pg_transport transport; /* used, or tried last; never AUTO */
	int status;                  /* HTTP status of a refusal, else 0 */
	bool is_unauthorized;        /* 401: fresh credentials may help */
	bool other_may_help;         /* another transport may be let through */
	bool again_may_help;         /* the same may work in a moment, or after the time below */
	uint64_t retry_after_s;      /* as the server asks, or 0 */
};

/* Opens a lane to `port` of the pod. Straight-line; returns once the upgrade is accepted and the
 * protocol shows that the port's streams are up, which is before the node has connected to the
 * port: that nobody listens there comes as -ECONNREFUSED from here or as the code of `ended`.
 *
 * 0 with *out the caller's, its events from the loop's next turn on; else a negative errno with
 * *err: -ECONNREFUSED (of the port with whose PG_TARGET, of the server with PG_CLUSTER), -EACCES
 * (401, 403), -ENOENT (no such pod), -EPROTO, -ECONNRESET, -ETIMEDOUT, -ECANCELED, ... *why is
 * filled in either case. `peer` and the names are borrowed for the call. */
int pg_portfwd_dial(struct pg_http *http, const struct pg_http_peer *peer, const char *ns,
		    const char *pod, uint16_t port, enum pg_transport transport,
		    struct pg_lane_events events, void *ctx, struct pg_lane **out,
		    struct pg_portfwd_refusal *why, struct pg_err *err);
