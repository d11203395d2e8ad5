#pragma once
#include "injector/platform.h"
#include "proto/base/buf.h"
#include "proto/io/link.h"

/* The laptop's side of the agent's control API (docs/protocol.md, "Control API"): HTTP/1.1 by hand
 * over a lane, and the mutual proof. Straight-line. */

struct pg_agent_conn;

/* Dials the agent of `graft` and fetches a challenge, which must name the pod, container and key
 * that we know (-EACCES). -ECONNREFUSED: nobody listens there. All but `out` and `err` are borrowed
 * for the connection's life. */
int pg_agent_connect(struct pg_loop *loop, struct pg_platform *platform, const struct pg_pod *pod,
		     const struct pg_graft *graft, struct pg_agent_conn **out, struct pg_err *err);
void pg_agent_disconnect(struct pg_agent_conn *c);

/* Finds an agent for `spec` or grafts one, and connects to it. A recorded agent that turns out to
 * be dead is forgotten and replaced by a new one, once. *graft is filled in and borrowed for the
 * connection's life, as the rest is. */
int pg_agent_reach(struct pg_loop *loop, struct pg_platform *platform, const struct pg_pod *pod,
		   const struct pg_graft_spec *spec, struct pg_graft *graft,
		   struct pg_agent_conn **out, struct pg_err *err);

/* The value of an Authorization header that is good for one request within 10 s. */
void pg_agent_token(struct pg_agent_conn *c, const struct pg_keys *keys, char out[PG_AUTHZ_MAX]);

/* GET `path` with such a token; the answer's body is added to `body`. Any status but 200 is an
 * error with the agent's own words. */
int pg_agent_get(struct pg_agent_conn *c, const struct pg_keys *keys, const char *path,
		 struct pg_buf *body, struct pg_err *err);

/* Makes a link of the connection: both prove themselves. `c` is used up in any case. -EACCES: the
 * agent refuses us, or is not the one; -EAGAIN: it refuses for now, as it has no room. */
int pg_agent_link(struct pg_agent_conn *c, const struct pg_keys *keys,
		  const uint8_t session[PG_SESSION_BYTES], const struct pg_link_config *config,
		  struct pg_link **out, struct pg_err *err);
