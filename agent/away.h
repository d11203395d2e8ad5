#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/rules.h"

/* Redirects whose laptop went without a word: no rule, claim, listener or memory of theirs is left,
 * only who had what since when, to be told to those who ask, until the laptop starts them again or
 * is not expected any more. Pure: the time is an argument, milliseconds of any monotonic clock. */

enum {
	PG_AWAY_MAX = 256,          /* of more the oldest is forgotten */
	PG_AWAY_MS = 10 * 60 * 1000 /* how long a laptop is expected back */
};

struct pg_away_redirect {
	enum pg_direction direction;
	uint16_t port;
	char holder[65];     /* "ann@laptop" */
	uint64_t since;      /* when it was started, and */
	uint64_t away_since; /* when its laptop went: seconds of the epoch */
	uint64_t until_ms;   /* when it is forgotten */
};

struct pg_away {
	struct pg_away_redirect items[PG_AWAY_MAX]; /* the oldest first */
	size_t count;
};

/* Notes `r`, which is copied, in place of another of its port. */
void pg_away_add(struct pg_away *a, const struct pg_away_redirect *r);

/* Somebody is back for that port: true, and the note is moved to *out, if there was one. */
bool pg_away_take(struct pg_away *a, enum pg_direction direction, uint16_t port,
		  struct pg_away_redirect *out);

/* The same for the oldest note, if its time is over. */
bool pg_away_take_old(struct pg_away *a, uint64_t now_ms, struct pg_away_redirect *out);
