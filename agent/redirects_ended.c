/* Redirects that have ended. Some of their connections may be waiting yet, for the laptop or for
 * the app, and are in no count: so these are told until nothing is undecided. That is looked up,
 * which is rare, instead of being heard of every connection that ends otherwise. It lasts a second,
 * and longer only where whom an outgoing one dials does not answer. */
#include <stdlib.h>

#include "agent/redirects_impl.h"
#include "proto/base/mem.h"

enum { LOOK_UP_MS = 20 };

static uint32_t count_undecided(const struct pg_redirects *all, const struct pg_redirect *rd)
{
	return (uint32_t)(pg_looks_count_of(all->looks, rd->serial) +
			  rd->owner->undecided(rd->ctx, rd->serial));
}

static void tell(struct pg_redirects *all, struct pg_redirect *rd)
{
	uint32_t undecided = count_undecided(all, rd);
	rd->has_news = rd->has_news || undecided != rd->undecided;
	rd->undecided = undecided;
	redirects_tell_counts(rd);
}

void redirects_tell_last(struct pg_redirects *all, struct pg_redirect *rd)
{
	struct redirects_ended *e = NULL;
	if (count_undecided(all, rd) > 0)
		e = pg_calloc(1, sizeof(*e));
	if (!e) { /* also without memory: what is known by now */
		redirects_tell_counts(rd);
		return;
	}
	*e = (struct redirects_ended){ .rd = *rd, .next = all->ended };
	all->ended = e;
	tell(all, &e->rd);
	uv_timer_start(&all->last_counts, redirects_on_last_counts, LOOK_UP_MS, LOOK_UP_MS);
}

struct pg_redirect *redirects_find_ended(struct pg_redirects *all, uint32_t serial)
{
	for (struct redirects_ended *e = all->ended; e; e = e->next)
		if (e->rd.serial == serial)
			return &e->rd;
	return NULL;
}

static void drop(struct redirects_ended **at)
{
	struct redirects_ended *e = *at;
	*at = e->next;
	free(e);
}

void redirects_drop_ended(struct pg_redirects *all, const void *ctx)
{
	for (struct redirects_ended **at = &all->ended; *at;) {
		if (!ctx || (*at)->rd.ctx == ctx)
			drop(at);
		else
			at = &(*at)->next;
	}
}

void redirects_on_last_counts(uv_timer_t *timer)
{
	struct pg_redirects *all = timer->data;
	for (struct redirects_ended **at = &all->ended; *at;) {
		tell(all, &(*at)->rd);
		if ((*at)->rd.undecided == 0)
			drop(at);
		else
			at = &(*at)->next;
	}
	if (!all->ended)
		uv_timer_stop(timer);
}
