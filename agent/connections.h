#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "agent/pressure.h"
#include "agent/redirects.h"
#include "proto/base/log.h"
#include "proto/io/bridge.h"
#include "proto/io/link.h"
#include "proto/mux/limits.h"

/* Every redirected connection of this agent. Each is a stream of a laptop's link; where the laptop
 * does not serve it (before ACCEPTED: docs/architecture.md, "Failing open"), it is joined to the
 * app that the client meant, with all that it has sent. */
struct pg_connections;

struct pg_connections_events {
	/* The last connection has ended. */
	void (*emptied)(void *ctx);
	/* The laptop could not serve a connection that came by this `arming` of a redirect. */
	void (*unserved)(void *ctx, uint32_t arming);
	/* A connection that arrived at the redirect `serial` is served now. */
	void (*served)(void *ctx, uint32_t serial, enum pg_served how);
};

/* What one connection may hold at most, with all that belongs to it, less what it borrows of the
 * lane's pool: served by the laptop; while that has not accepted it; and served by the app. */
enum {
	PG_BY_LAPTOP_BYTES = PG_CREDIT_OWN + (2 << 10),
	PG_WAITING_BYTES = PG_BY_LAPTOP_BYTES + PG_CREDIT_OWN, /* what is kept for the app */
	PG_BY_APP_BYTES = 2 * PG_BRIDGE_BYTES + (2 << 10),
};

/* NULL: out of memory. `pressure` hears what all of them may hold. All arguments are borrowed for
 * its life. */
struct pg_connections *pg_connections_new(struct pg_loop *loop, const struct pg_log *log,
					  struct pg_pressure *pressure,
					  const struct pg_connections_events *events, void *ctx);

/* Resets what is left; frees after the loop's turn. */
void pg_connections_close(struct pg_connections *all);

/* Serves `a` by a stream of `link`, or by the app when that is what it is for, when `link` is NULL
 * or full, and also later when the laptop does not accept it; where `rd` has no_fallback it is
 * reset instead. */
void pg_connections_serve(struct pg_connections *all, struct pg_link *link,
			  const struct pg_redirect *rd, const struct pg_arrival *a);

/* Those that came by the redirect `serial` and that nobody serves yet. */
size_t pg_connections_undecided(const struct pg_connections *all, uint32_t serial);

/* Those that are open now; those that were served so, up to now. */
size_t pg_connections_open(const struct pg_connections *all);
uint64_t pg_connections_served(const struct pg_connections *all, enum pg_served how);
