#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "agent/redirects.h"
#include "proto/base/log.h"
#include "proto/io/link.h"

/* Every redirected connection of this agent. Each is a stream of a laptop's link; where the laptop
 * does not serve it (before ACCEPTED: docs/architecture.md, "Failing open"), it is joined to the
 * app that the client meant, with all that it has sent. */
struct pg_connections;

struct pg_connections_events {
	/* The last connection has ended. */
	void (*emptied)(void *ctx);
	/* The laptop could not serve a connection that a redirect of `port` brought. */
	void (*unserved)(void *ctx, enum pg_direction direction, uint16_t port);
};

/* NULL: out of memory. All arguments are borrowed for its life. */
struct pg_connections *pg_connections_new(struct pg_loop *loop, const struct pg_log *log,
					  const struct pg_connections_events *events, void *ctx);

/* Resets what is left; frees after the loop's turn. */
void pg_connections_close(struct pg_connections *all);

/* Serves `fd` (taken; prepared) by a stream of `link`, or by the app when `link` is NULL or full,
 * and also later when the laptop does not accept it; where `rd` has no_fallback it is reset
 * instead. `local` is where the client was going, before any rule. */
void pg_connections_serve(struct pg_connections *all, struct pg_link *link,
			  const struct pg_redirect *rd, int fd, const struct sockaddr_storage *peer,
			  const struct sockaddr_storage *local);

/* Those that are open now; those that went to the app instead, so far. */
size_t pg_connections_open(const struct pg_connections *all);
uint64_t pg_connections_fallen_back(const struct pg_connections *all);
