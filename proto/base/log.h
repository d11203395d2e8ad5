#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/base/auto.h"

enum pg_level { PG_QUIET, PG_ERROR, PG_WARN, PG_INFO, PG_DEBUG };

/* Where words for people go: a context that is handed down, never a global. */
struct pg_log {
	enum pg_level level;       /* what is more talkative is dropped */
	FILE *to;                  /* borrowed; stderr for the injector, stdout for the agent */
	const char *prefix;        /* put before each line, "" for none; borrowed */
	void (*before)(void *ctx); /* called before each line that is written; may be NULL */
	/* Called with each line that could be printed; true: it was told in another way, and is not
	 * written. May be NULL. */
	bool (*take)(void *ctx, enum pg_level level, const char *line);
	void *ctx; /* of both */
};

/* One line at `level`; control characters are replaced, the newline is added. `log` may be NULL. */
void pg_log(const struct pg_log *log, enum pg_level level, const char *fmt, ...) PG_PRINTF(3, 4);

/* A quota: at most `burst` passes in each `period_ms`, for messages that a peer can cause at will.
 * Zeroed at first. Returns 0 to drop the message, else 1 + the number dropped since the last pass.
 */
struct pg_quota {
	uint64_t period_start_ms;
	uint32_t passed, dropped;
};
uint32_t pg_quota_pass(struct pg_quota *q, uint32_t burst, uint64_t period_ms, uint64_t now_ms);
