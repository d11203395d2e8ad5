#pragma once
#include "agent/redirects.h"

/* A redirect whose port another agent still has: waits until it has given it up, PG_TAKE_OVER_MS at
 * most. */
struct pg_takeover;

struct pg_takeover_wish {
	struct pg_loop *loop;
	struct pg_redirects *redirects;
	uint32_t id;
	struct pg_rule rule; /* its holder and networks (at most PG_NETWORKS_MAX) are copied */
	struct pg_redirect_terms terms;
	const struct pg_redirect_owner *owner;
	void *ctx; /* of the owner, and of `done` */
	/* Once, unless it is cancelled: 0, the redirect has started; -ETIMEDOUT with claim->holder
	 * who would not give the port up; or as pg_redirects_start(). The take-over is gone then.
	 */
	void (*done)(void *ctx, const struct pg_takeover_wish *wish, int code,
		     const struct pg_claim *claim, const struct pg_err *err);
};

/* NULL: out of memory. */
struct pg_takeover *pg_takeover_new(const struct pg_takeover_wish *wish);

/* Waits no longer; `done` is not called. NULL is allowed. */
void pg_takeover_cancel(struct pg_takeover *t);
