#pragma once
#include <stdbool.h>
#include <sys/socket.h>

#include "proto/io/loop.h"

/* Watches a local address until somebody listens there: a connection attempt each half second,
 * closed at once when it succeeds. */
struct pg_probe;

/* `found` is called from the loop, and again as long as somebody listens and the probe is not
 * freed: what it sets off may fail. NULL: out of memory. */
struct pg_probe *pg_probe_new(struct pg_loop *loop, const struct sockaddr_storage *to,
			      void (*found)(void *ctx), void *ctx);
/* NULL is allowed; legal inside `found`. */
void pg_probe_free(struct pg_probe *p);
