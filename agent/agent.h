#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/log.h"
#include "proto/io/loop.h"
#include "proto/wire/auth.h"

/* Everything that this agent does in its pod, from its start to its end. */
struct pg_agent;

struct pg_agent_config {
	const char *pod_uid, *container, *profile; /* borrowed */
	uint8_t laptop_key[PG_KEY_BYTES];          /* the only one that is let in */
	uint64_t idle_ms;                          /* life without a session */
	uint64_t memory_bytes;                     /* ceiling of what connections may hold */
	bool no_owner_flag; /* as on a kernel without it: the lease alone protects */
};

/* Binds the control API and prints the banner on log->to:
 * "podgraft-agent/1 listening on 127.0.0.1:PORT key BASE64". */
int pg_agent_new(struct pg_loop *loop, const struct pg_log *log,
		 const struct pg_agent_config *config, struct pg_agent **out, struct pg_err *err);

/* Straight-line: serves until a signal or until no session has been there for idle_ms; then
 * gives every port back and lets connections end, 5 s at most. */
void pg_agent_run(struct pg_agent *a);

void pg_agent_free(struct pg_agent *a);
