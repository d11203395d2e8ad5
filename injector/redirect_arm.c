#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "injector/redirect_impl.h"
#include "injector/redirect_start.h"

enum {
	OWN_PATIENCE_MS = 2500, /* for a port that a podgraft of our own still holds */
	OWN_RETRY_MS = 250,
	AGAIN_FIRST_MS = 1000, /* a port of others is tried again then; doubles ... */
	AGAIN_MOST_MS = 4000,  /* ... to this: a dead agent's claim may last 10 s */
};

void pg_redirect_since(int64_t since_s, char out[PG_SINCE_MAX])
{
	time_t since = (time_t)since_s;
	struct tm tm;
	if (since_s <= 0 || !localtime_r(&since, &tm) ||
	    strftime(out, PG_SINCE_MAX, " since %F %T", &tm) == 0)
		out[0] = '\0'; /* a year of many digits: nobody's clock */
}

void pg_redirect_holder_read(const Podgraft__V1__RedirectStatus *st, struct pg_redirect_holder *out)
{
	snprintf(out->by, sizeof(out->by), "%s", st->holder);
	pg_sanitize(out->by);
	if (!out->by[0])
		snprintf(out->by, sizeof(out->by), "somebody else");
	out->since_s = st->since <= INT64_MAX ? (int64_t)st->since : 0;
	out->is_own = st->code == EEXIST; /* the same agent, hence the same key */
}

/* Why the first port cannot be had, as an error. */
static int explain_held(const struct pg_redirect_entry *e, struct pg_err *err)
{
	char since[PG_SINCE_MAX];
	pg_redirect_since(e->holder.since_s, since);
	pg_fail(err, e->holder.is_own ? -EEXIST : -EBUSY, "%sport %u is redirected by %s%s.",
		pg_redirect_word(&e->want), e->want.pod_port, e->holder.by, since);
	if (e->holder.is_own)
		return pg_hint(err, PG_TARGET,
			       "that is a podgraft of your own: end it there, or take the port "
			       "over with --take-over");
	return pg_hint(err, PG_TARGET,
		       "ask them to end it, or take the port over with --take-over");
}

/* What the agent said about a redirect that it could not arm. */
static int explain(const Podgraft__V1__RedirectStatus *st, struct pg_redirect_entry *e,
		   struct pg_err *err)
{
	char text[PG_TEXT_MAX + 1];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s", st->text);
	pg_sanitize(text);
	if (n > 0 && n < sizeof(text) && text[n - 1] == '.') /* ours ends in one */
		text[n - 1] = '\0';
	if (st->code == EBUSY || st->code == EEXIST) {
		pg_redirect_holder_read(st, &e->holder);
		return explain_held(e, err);
	}
	pg_fail(err, st->code > 0 ? -st->code : -EIO, "redirect of %sport %u: %s.",
		pg_redirect_word(&e->want), e->want.pod_port, text);
	snprintf(text, sizeof(text), "%s", st->hint);
	pg_sanitize(text);
	return text[0] ? pg_hint(err, PG_TARGET, "%s", text) : pg_blame(err, PG_TARGET);
}

void pg_redirect_entry_start(const struct pg_redirect_entry *e, struct pg_redirect_start *out)
{
	uint32_t id = (uint32_t)(e - e->all->entries) + 1;
	pg_redirect_start_fill(out, id, &e->want, e->all->manner);
	out->body.take_over = e->all->manner->take_over && !e->was_armed && !e->held;
}

static void take_mechanism(const char *text, char out[32])
{
	snprintf(out, 32, "%s", text);
	pg_sanitize(out); /* now valid UTF-8 however it was cut: JSON takes nothing else */
}

/* *is_held: another redirect has the port. */
static int arm_once(struct pg_redirect_entry *e, struct pg_tunnel *t, char mechanism_out[32],
		    bool *is_held, struct pg_err *err)
{
	struct pg_redirect_start start;
	Podgraft__V1__Control *answer;
	*is_held = false;
	pg_redirect_entry_start(e, &start);
	int rc = pg_tunnel_ask(t, &start.msg, &answer, err);
	if (rc < 0)
		return rc;
	const Podgraft__V1__RedirectStatus *st = answer->redirect_status;
	if (answer->body_case != PODGRAFT__V1__CONTROL__BODY_REDIRECT_STATUS) {
		rc = pg_fail(err, -EPROTO, "the agent answers another question");
	} else if (st->state != PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_ARMED) {
		rc = explain(st, e, err);
		*is_held = rc == -EBUSY || rc == -EEXIST;
	} else if (!e->want.outgoing || !mechanism_out[0]) {
		take_mechanism(st->text, mechanism_out);
	}
	pg_msg_free(answer);
	return rc;
}

/* Waits for what is held by a podgraft of our own, which may just have been killed: the agent hears
 * of that when the node has closed its connection. */
static int arm_one(struct pg_redirect_entry *e, struct pg_tunnel *t, uint64_t patience_ms,
		   char mechanism_out[32], bool *is_held, struct pg_err *err)
{
	struct pg_loop *loop = e->all->loop;
	const bool never = false;
	for (;;) {
		int rc = arm_once(e, t, mechanism_out, is_held, err);
		uint64_t now = pg_loop_now_ms(loop);
		if (rc != -EEXIST || now > patience_ms)
			return rc;
		if (pg_loop_wait(loop, &never, now + OWN_RETRY_MS) == -ECANCELED) {
			*is_held = false;
			return pg_fail(err, -ECANCELED, "redirect %sport %u",
				       pg_redirect_word(&e->want), e->want.pod_port);
		}
	}
}

/* ---- ports that others have --------------------------------------------------------------- */

static void on_again(uv_timer_t *timer)
{
	struct pg_redirect_set *r = timer->data;
	bool is_any = false;
	for (size_t i = 0; i < r->count && r->tunnel; i++) {
		struct pg_redirect_start start;
		if (!r->entries[i].held)
			continue;
		is_any = true;
		pg_redirect_entry_start(&r->entries[i], &start);
		pg_tunnel_tell(r->tunnel, &start.msg); /* answered as any news of the agent's */
	}
	if (!is_any)
		return;
	r->again_ms = pg_min_u64(r->again_ms * 2, AGAIN_MOST_MS);
	uv_timer_start(&r->again, on_again, r->again_ms, 0);
}

static void await_held(struct pg_redirect_set *r)
{
	bool is_any = false;
	for (size_t i = 0; i < r->count; i++) {
		struct pg_redirect_entry *e = &r->entries[i];
		is_any = is_any || e->held;
		if (!e->held || e->is_held_told)
			continue;
		e->is_held_told = true;
		if (r->manner->held)
			r->manner->held(r->manner->ctx, &e->want, &e->holder);
	}
	if (!is_any)
		return;
	r->again_ms = AGAIN_FIRST_MS;
	uv_timer_start(&r->again, on_again, r->again_ms, 0);
}

void pg_redirect_entry_freed(struct pg_redirect_entry *e)
{
	struct pg_redirect_set *r = e->all;
	bool is_told = e->is_held_told;
	e->held = e->is_held_told = false;
	if (is_told && r->manner->freed)
		r->manner->freed(r->manner->ctx, &e->want);
}

/* None of them could be had at the start: that is no redirect. */
static int give_up(struct pg_redirect_set *r, struct pg_err *err)
{
	struct pg_redirect_entry *first = NULL;
	for (size_t i = r->count; i-- > 0;)
		if (r->entries[i].held)
			first = &r->entries[i];
	return first ? explain_held(first, err) : 0;
}

/* An agent that has not gone, and may not even know of the loss, goes on counting. */
static void know_agent(struct pg_redirect_set *r, const struct pg_graft *graft)
{
	if (memcmp(r->agent, graft->agent_key, sizeof(r->agent)) == 0)
		return;
	memcpy(r->agent, graft->agent_key, sizeof(r->agent));
	for (size_t i = 0; i < r->count; i++)
		pg_redirect_entry_settle(&r->entries[i]);
}

int pg_redirect_set_arm(struct pg_redirect_set *r, struct pg_tunnel *t, char mechanism_out[32],
			struct pg_err *err)
{
	uint64_t patience_ms = pg_loop_now_ms(r->loop) + OWN_PATIENCE_MS;
	r->tunnel = t;
	know_agent(r, pg_tunnel_graft(t));
	for (size_t i = 0; i < r->count; i++) {
		struct pg_redirect_entry *e = &r->entries[i];
		bool is_held;
		if (e->armed || e->taken)
			continue;
		int rc = arm_one(e, t, patience_ms, mechanism_out, &is_held, err);
		if (rc < 0 && !is_held)
			return rc;
		e->armed = rc == 0;
		e->was_armed = e->was_armed || e->armed;
		r->was_up = r->was_up || e->armed;
		if (e->held && e->armed)
			pg_redirect_entry_freed(e);
		e->held = is_held;
	}
	if (!r->was_up)
		return give_up(r, err);
	await_held(r);
	return 0;
}

void pg_redirect_set_stop(struct pg_redirect_set *r, struct pg_tunnel *t)
{
	r->is_over = true;
	uv_timer_stop(&r->again);
	for (size_t i = 0; i < r->count; i++) {
		struct pg_redirect_entry *e = &r->entries[i];
		Podgraft__V1__RedirectStop stop = PODGRAFT__V1__REDIRECT_STOP__INIT;
		Podgraft__V1__Control question = PODGRAFT__V1__CONTROL__INIT, *answer;
		struct pg_err err = { 0 };
		e->short_of = 0;
		pg_redirect_entry_stop_probing(e); /* it would arm what is parked again */
		if (!e->armed && !e->held)         /* what is held may just become ours */
			continue;
		e->armed = e->held = false;
		stop.redirect = (uint32_t)i + 1;
		question.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_STOP;
		question.redirect_stop = &stop;
		if (pg_tunnel_ask(t, &question, &answer, &err) == 0)
			pg_msg_free(answer);
		else
			pg_log(r->log, PG_DEBUG, "stop the redirect of %sport %u: %s",
			       pg_redirect_word(&e->want), e->want.pod_port, err.what);
	}
}
