/* A session whose link is lost loses its redirects at once; what is kept are notes of them, so that
 * who asks what becomes of the pod's ports learns whose laptop may come back for them. */
#include "agent/redirects_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* To wake up when the oldest is to be forgotten. */
static void set_timer(struct pg_redirects *all)
{
	uint64_t now_ms = pg_loop_now_ms(all->loop);
	if (all->away.count == 0) {
		uv_timer_stop(&all->forget);
		return;
	}
	uint64_t until_ms = all->away.items[0].until_ms;
	uv_timer_start(&all->forget, redirects_away_on_forget,
		       until_ms > now_ms ? until_ms - now_ms : 0, 0);
}

void redirects_away_on_forget(uv_timer_t *timer)
{
	struct pg_redirects *all = timer->data;
	struct pg_away_redirect old;
	while (pg_away_take_old(&all->away, pg_loop_now_ms(all->loop), &old))
		redirects_say_forgotten(all, &old, "the laptop did not come back");
	set_timer(all);
}

void redirects_away_add(struct pg_redirects *all, const struct pg_redirect *rd)
{
	struct pg_away_redirect away = { .direction = rd->direction,
					 .port = rd->port,
					 .since = rd->since,
					 .away_since = (uint64_t)time(NULL),
					 .until_ms = pg_loop_now_ms(all->loop) + all->away_ms };
	snprintf(away.holder, sizeof(away.holder), "%s", rd->holder);
	pg_away_add(&all->away, &away);
	redirects_say_away(all, &away);
	set_timer(all);
}

void redirects_away_clear(struct pg_redirects *all)
{
	for (size_t i = 0; i < all->away.count; i++)
		redirects_say_forgotten(all, &all->away.items[i], "");
	all->away.count = 0;
	set_timer(all);
}
