#include "proto/mux/sched.h"

#include <assert.h>

void pg_sched_init(struct pg_sched *q)
{
	q->ring = (struct pg_turn){ &q->ring, &q->ring };
	q->n = 0;
}

void pg_sched_join(struct pg_sched *q, struct pg_turn *t)
{
	if (pg_turn_waits(t))
		return;
	t->prev = q->ring.prev;
	t->next = &q->ring;
	t->prev->next = t;
	q->ring.prev = t;
	q->n++;
}

void pg_sched_leave(struct pg_sched *q, struct pg_turn *t)
{
	if (!pg_turn_waits(t))
		return;
	assert(q->n > 0);
	t->prev->next = t->next;
	t->next->prev = t->prev;
	*t = (struct pg_turn){ NULL, NULL };
	q->n--;
}

struct pg_turn *pg_sched_first(const struct pg_sched *q)
{
	return q->n > 0 ? q->ring.next : NULL;
}

struct pg_turn *pg_sched_next(const struct pg_sched *q, const struct pg_turn *t)
{
	return t->next == &q->ring ? NULL : t->next;
}
