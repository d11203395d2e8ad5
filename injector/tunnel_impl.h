#pragma once
#include <uv.h>

#include "injector/load.h"
#include "injector/tunnel.h"
#include "proto/mux/limits.h"

/* What the files of tunnel.h share; nobody else includes this. tunnel.c asks and is told,
 * tunnel_lanes.c opens and closes lanes. */

/* A lane's life: open; resting, once the agent is asked for no more streams on it; rested, when it
 * has agreed. Then it ends with its last stream. */
struct pg_tunnel_lane {
	struct pg_tunnel *tunnel;
	struct pg_link *link; /* NULL: free slot */
	bool is_resting, has_rested;
	uint64_t moved;         /* bytes both ways, at the last look */
	uint64_t empty_from_ms; /* without a stream since; 0: it has some */
};

struct pg_tunnel {
	struct pg_tunnel_config config;
	struct pg_graft graft;
	struct pg_tunnel_lane lanes[PG_LANES_MAX];
	struct pg_pool pool;              /* what the streams of all lanes may borrow */
	struct pg_tunnel_traffic ended;   /* of lanes that are gone */
	struct pg_err why;                /* of the loss */
	uint32_t asked;                   /* the last question's number */
	uint32_t awaited;                 /* that of the question somebody waits for, or 0 */
	const struct pg_tunnel_lane *via; /* by which it was asked */
	uint8_t *answer;                  /* packed: a message's own allocator is its unpacker's */
	size_t answer_len;
	bool stirred; /* an answer or the loss has come */
	bool is_lost;
	struct pg_load load;
	uv_timer_t look;
	struct pg_task widen;
};

/* tunnel.c. Makes a link for `lane` of an agent that was reached; `conn` is used up. */
int pg_tunnel_link(struct pg_tunnel_lane *lane, struct pg_agent_conn *conn, struct pg_err *err);

/* tunnel_lanes.c. The one that takes new streams and questions, the first of them; NULL: lost. */
struct pg_tunnel_lane *pg_tunnel_lane(struct pg_tunnel *t);
/* From now on lanes come and go with the load; or do not any more. */
void pg_tunnel_lanes_start(struct pg_tunnel *t);
void pg_tunnel_lanes_stop(struct pg_tunnel *t);
/* The agent opens nothing more on `lane`. */
void pg_tunnel_lane_rested(struct pg_tunnel_lane *lane);
/* Ends `lane`, its streams with it. */
void pg_tunnel_lane_end(struct pg_tunnel_lane *lane);
