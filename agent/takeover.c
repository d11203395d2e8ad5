#include "agent/takeover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "proto/base/mem.h"
#include "proto/wire/msg.h"

struct pg_takeover {
	struct pg_takeover_wish wish;
	char holder[sizeof(((struct pg_claim *)0)->holder)];
	struct pg_network to[PG_NETWORKS_MAX];
	uint64_t deadline_ms;
	uv_timer_t look;
};

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void pg_takeover_cancel(struct pg_takeover *t)
{
	if (!t)
		return;
	pg_redirects_take_no_more(t->wish.redirects, t->wish.rule.direction, t->wish.rule.port);
	uv_close((uv_handle_t *)&t->look, on_closed);
}

/* It renews its lease and keeps its claim: no agent of this version, or one that is kept busy. */
static int not_given_up(const struct pg_takeover *t, const struct pg_claim *claim,
			struct pg_err *err)
{
	pg_fail(err, -ETIMEDOUT, "%s%sdoes not give %sport %u up.", claim->holder,
		claim->holder[0] ? "'s agent " : "the agent that has it ",
		pg_direction_word(t->wish.rule.direction), t->wish.rule.port);
	return pg_hint(err, PG_TARGET,
		       "ask them to end it, or let the pod be made anew: no agent outlives it");
}

static void on_look(uv_timer_t *timer)
{
	struct pg_takeover *t = timer->data;
	const struct pg_takeover_wish *w = &t->wish;
	struct pg_claim claim = { .holder = "" };
	struct pg_err err = { 0 };
	int code = pg_redirects_start(w->redirects, w->id, &w->rule, &w->terms, w->owner, w->ctx,
				      &claim, &err);
	if (code == -EAGAIN) {
		if (pg_loop_now_ms(w->loop) < t->deadline_ms)
			return;
		code = not_given_up(t, &claim, &err);
	}
	w->done(w->ctx, w, code, &claim, &err);
	pg_takeover_cancel(t);
}

struct pg_takeover *pg_takeover_new(const struct pg_takeover_wish *wish)
{
	struct pg_takeover *t = pg_calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->wish = *wish;
	snprintf(t->holder, sizeof(t->holder), "%s", wish->rule.holder);
	t->wish.rule.holder = t->holder;
	t->wish.rule.to = t->to;
	memcpy(t->to, wish->rule.to, wish->rule.to_count * sizeof(t->to[0]));
	t->deadline_ms = pg_loop_now_ms(wish->loop) + PG_TAKE_OVER_MS;
	uv_timer_init(pg_loop_uv(wish->loop), &t->look);
	t->look.data = t;
	uv_timer_start(&t->look, on_look, PG_TAKE_OVER_LOOK_MS, PG_TAKE_OVER_LOOK_MS);
	return t;
}
