#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* When a session wants one more lane: several connections share those that it has and keep them
 * busy, for more than a moment. Pure; times are milliseconds of any monotonic clock. */
struct pg_load {
	unsigned busy;         /* looks in a row that found it so */
	uint64_t not_until_ms; /* after a failure */
};

enum { PG_LOAD_LOOK_MS = 250 }; /* between two looks */

struct pg_load_look {
	size_t lanes;    /* that take new streams */
	size_t lively;   /* streams that moved since the last look */
	uint64_t bytes;  /* that they moved, both ways */
	uint64_t rtt_us; /* least round trip */
};

/* True: open one more lane now. */
bool pg_load_wants_lane(struct pg_load *l, const struct pg_load_look *look, uint64_t now_ms);

/* It could not be opened: nothing more for `pause_ms`. */
void pg_load_failed(struct pg_load *l, uint64_t now_ms, uint64_t pause_ms);
