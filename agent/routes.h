#pragma once
#include "agent/away.h"
#include "agent/httpd.h"
#include "proto/wire/auth.h"

/* What the control API answers (docs/protocol.md, "Control API"): who may ask for what, and the
 * state behind it. One route_*.c per route. */
struct pg_routes;

/* Facts about this agent, fixed at its start. Strings are borrowed for the routes' life. */
struct pg_identity {
	const char *pod_uid, *container, *profile, *version;
	uint8_t laptop_key[PG_KEY_BYTES]; /* the only key that is let in */
	struct pg_keys keys;              /* ours */
};

struct pg_facts {
	size_t sessions, redirects, connections;
	const struct pg_away *away; /* redirects whose laptop went; borrowed */
	uint64_t probes;            /* the kubelet's, which the app served */
	uint64_t served;            /* connections that the laptop served, so far */
	uint64_t fallen_back;  /* connections that the app served instead of the laptop, so far */
	const char *mechanism; /* static text; "" without redirects */
};

struct pg_routes_events {
	/* Whether a lane of that session can be taken now. NULL: always. */
	bool (*has_room)(void *ctx, const uint8_t session[PG_SESSION_BYTES]);
	/* A laptop has proved itself and been answered: `fd` is the lane's socket, the callee's
	 * from now on; `extra` are the first bytes of the lane (borrowed). */
	void (*linked)(void *ctx, int fd, const uint8_t session[PG_SESSION_BYTES],
		       const uint8_t *extra, size_t n);
	/* Fills in what GET /v1/info tells of this moment. */
	void (*info)(void *ctx, struct pg_facts *out);
};

int pg_routes_new(struct pg_loop *loop, const struct pg_identity *id,
		  const struct pg_routes_events *events, void *ctx, struct pg_routes **out,
		  struct pg_err *err);
uint16_t pg_routes_port(const struct pg_routes *r);
void pg_routes_close(struct pg_routes *r);
