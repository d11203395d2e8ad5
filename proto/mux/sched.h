#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Whose turn it is: a circle of waiting members, first come first served. Intrusive: joining,
 * leaving and passing the turn on cost the same however many wait, and allocate nothing. */
struct pg_turn {
	struct pg_turn *prev, *next; /* NULL: not waiting */
};

struct pg_sched {
	struct pg_turn ring; /* ring.next is the first */
	size_t n;            /* members waiting */
};

void pg_sched_init(struct pg_sched *q);

/* Puts `t` at the end; nothing when it waits already (in this queue: one link is for one queue). */
void pg_sched_join(struct pg_sched *q, struct pg_turn *t);

/* Takes `t` out, wherever it stands; nothing when it does not wait. */
void pg_sched_leave(struct pg_sched *q, struct pg_turn *t);

/* The first in turn, or NULL; pg_sched_next() walks on from it, NULL after the last. */
struct pg_turn *pg_sched_first(const struct pg_sched *q);
struct pg_turn *pg_sched_next(const struct pg_sched *q, const struct pg_turn *t);

static inline bool pg_turn_waits(const struct pg_turn *t)
{
	return t->next != NULL;
}
