#pragma once
#include <stdbool.h>

#include "proto/io/lane.h"
#include "proto/io/loop.h"
#include "proto/mux/mux.h"
#include "proto/wire/msg.h"

/* A multiplexer on a lane: feeds one from the other, keeps the heartbeat, and ends both when
 * either is at its end. Streams belong to relays (relay.h), control messages to the session. */
struct pg_link;
struct pg_relay;

struct pg_link_events {
	/* The peer opened a stream, checked. As pg_mux_ops.opened: the user must be a relay. */
	enum pg_reset (*opened)(void *ctx, struct pg_stream *s, const Podgraft__V1__Open *open,
				struct pg_relay **relay_out);
	/* A control message, checked, borrowed. */
	void (*control)(void *ctx, const Podgraft__V1__Control *msg);
	/* Once: the link is dead; every stream has been told. pg_link_free() is legal inside. */
	void (*ended)(void *ctx, const struct pg_err *why);
};

struct pg_link_config {
	bool laptop;
	size_t max_streams;
	struct pg_pool *pool;         /* of all lanes of the session, borrowed */
	struct pg_link_events events; /* ctx is theirs */
	void *ctx;
};

/* Takes `lane` in any case; `extra` are bytes of it that arrived with its set-up. 0 or -ENOMEM. */
int pg_link_new(struct pg_loop *loop, struct pg_lane *lane, const struct pg_link_config *config,
		const uint8_t *extra, size_t n, struct pg_link **out);

/* Ends lane and streams; no event follows. NULL is allowed. */
void pg_link_free(struct pg_link *l);

struct pg_mux *pg_link_mux(const struct pg_link *l);

/* Queues a control message: 0, -ENOMEM, -ENOBUFS. */
int pg_link_send(struct pg_link *l, const Podgraft__V1__Control *msg);
