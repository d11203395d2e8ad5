#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proto/base/byteq.h"
#include "proto/io/loop.h"

/* Connections from the node, while it is found out whether the kubelet makes them (first_bytes.h):
 * PG_LOOK_MS at most, for a client may wait for the server to speak first. */
struct pg_looks;

enum { PG_LOOK_MS = 1000 };

/* A connection to be looked at, or that was. */
struct pg_look {
	int fd; /* prepared (pg_sock_prepare()) */
	struct sockaddr_storage peer, local;
	uint32_t serial; /* of its redirect */
	bool grpc;       /* it may be a gRPC probe: the client is greeted if need be */
};

/* `decided`: `look` is over, its descriptor the callee's. `first` is what was read of it (the
 * callee's to end), to go before what is still to be read; `is_probe` what it says. NULL: out of
 * memory. */
struct pg_looks *pg_looks_new(struct pg_loop *loop,
			      void (*decided)(void *ctx, const struct pg_look *look,
					      struct pg_byteq *first, bool is_probe),
			      void *ctx);

/* Resets what is being looked at; frees after the loop's turn. NULL is allowed. */
void pg_looks_close(struct pg_looks *all);

/* Takes `look`, which is copied, with its descriptor: 0. -EBUSY when too many are being looked at,
 * -ENOMEM: the descriptor stays the caller's. */
int pg_looks_add(struct pg_looks *all, const struct pg_look *look);

/* Those that are being looked at; those of them that came by the redirect `serial`. */
size_t pg_looks_count(const struct pg_looks *all);
size_t pg_looks_count_of(const struct pg_looks *all, uint32_t serial);
