#pragma once
#include <stdint.h>
#include <sys/uio.h>

#include "proto/base/err.h"

/* A lane: one TCP-like stream of bytes between laptop and agent, whatever carries it. The owner
 * is called back; a lane never blocks and holds at most one batch of bytes in each direction. */
struct pg_lane;

enum { PG_LANE_SLOTS = 8 }; /* of PG_FRAME_SLOT bytes: 256 KiB a turn */

struct pg_lane_events {
	/* Bytes of the peer, borrowed; at most 256 KiB a call. */
	void (*received)(void *ctx, const uint8_t *p, size_t n);
	/* The lane can send: fill slots as pg_mux_pull() does, return how many are used. */
	int (*pull)(void *ctx, struct iovec *slots, int count);
	/* Called once, at the end: `why` NULL when the peer ended it in order. After it only
	 * pg_lane_close() is legal, and it is legal inside the call. */
	void (*ended)(void *ctx, const struct pg_err *why);
};

struct pg_lane_ops {
	void (*kick)(struct pg_lane *lane);
	void (*close)(struct pg_lane *lane);
};

struct pg_lane { /* first member of each implementation */
	const struct pg_lane_ops *ops;
	struct pg_lane_events events;
	void *ctx;
};

/* Hands the lane to another owner, between two callbacks or inside one. */
static inline void pg_lane_own(struct pg_lane *lane, struct pg_lane_events events, void *ctx)
{
	lane->events = events;
	lane->ctx = ctx;
}

/* There is something to pull. Cheap, and harmless when there is not. */
static inline void pg_lane_kick(struct pg_lane *lane)
{
	lane->ops->kick(lane);
}

/* Ends the lane and frees it, at once or after the loop's next turn; no event follows. */
static inline void pg_lane_close(struct pg_lane *lane)
{
	lane->ops->close(lane);
}
