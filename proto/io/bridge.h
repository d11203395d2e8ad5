#pragma once
#include <stdbool.h>

#include "proto/base/byteq.h"
#include "proto/io/loop.h"

/* Joins two TCP sockets on this machine, both directions, with half-close and reset: what serves a
 * client when the laptop does not. Each direction holds at most PG_BRIDGE_BYTES, and nothing while
 * the receiver takes what comes. */
struct pg_bridge;

/* Little, for the agent counts with it, and local sockets hold enough by themselves. */
enum { PG_BRIDGE_BYTES = 16 << 10 };

struct pg_bridge_events {
	/* The server has taken the connection. */
	void (*joined)(void *ctx);
	/* Both are closed; once. Without `joined` the server could not be reached. */
	void (*ended)(void *ctx);
};

/* Joins `client` to `server`, whose connect(2) may still be under way; both are taken in any
 * case. `first` (emptied) goes to the server before anything that the client sends from now on, at
 * most PG_UNACCEPTED_MAX; `client_eof`: the client's end was read already. `events` are borrowed,
 * and not called before this returns. 0, -ENOMEM or another negative errno. */
int pg_bridge_new(struct pg_loop *loop, int client, int server, struct pg_byteq *first,
		  bool client_eof, const struct pg_bridge_events *events, void *ctx,
		  struct pg_bridge **out);

/* Resets both sockets; no event follows. */
void pg_bridge_free(struct pg_bridge *b);
