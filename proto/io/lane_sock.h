#pragma once
#include <stddef.h>

#include "proto/io/lane.h"
#include "proto/io/loop.h"

/* A lane over a connected socket: the agent's end of a port-forward. Takes `fd` in any case.
 * 0, or -ENOMEM or another negative errno. Events come from the loop's next turn on. */
int pg_lane_sock_new(struct pg_loop *loop, int fd, struct pg_lane_events events, void *ctx,
		     struct pg_lane **out);
