#include "agent/away.h"

#include <string.h>

static void take_at(struct pg_away *a, size_t i, struct pg_away_redirect *out)
{
	*out = a->items[i];
	a->count--;
	memmove(&a->items[i], &a->items[i + 1], (a->count - i) * sizeof(a->items[0]));
}

void pg_away_add(struct pg_away *a, const struct pg_away_redirect *r)
{
	struct pg_away_redirect gone;
	if (!pg_away_take(a, r->direction, r->port, &gone) && a->count == PG_AWAY_MAX)
		take_at(a, 0, &gone);
	a->items[a->count++] = *r;
}

bool pg_away_take(struct pg_away *a, enum pg_direction direction, uint16_t port,
		  struct pg_away_redirect *out)
{
	for (size_t i = 0; i < a->count; i++) {
		if (a->items[i].direction != direction || a->items[i].port != port)
			continue;
		take_at(a, i, out);
		return true;
	}
	return false;
}

bool pg_away_take_old(struct pg_away *a, uint64_t now_ms, struct pg_away_redirect *out)
{
	if (a->count == 0 || a->items[0].until_ms > now_ms)
		return false;
	take_at(a, 0, out);
	return true;
}
