#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "injector/redirect_impl.h"
#include "injector/redirect_start.h"
#include "proto/io/sock.h"

enum { PARKINGS = 6 }; /* are told in PG_REDIRECT_SAY_MS */

void pg_redirect_entry_stop_probing(struct pg_redirect_entry *e)
{
	pg_probe_free(e->probe);
	e->probe = NULL;
}

/* Somebody listens on the local port again. */
static void on_found(void *ctx)
{
	struct pg_redirect_entry *e = ctx;
	struct pg_redirect_start start;
	pg_redirect_entry_start(e, &start);
	if (e->all->tunnel && pg_tunnel_tell(e->all->tunnel, &start.msg) < 0)
		pg_log(e->all->log, PG_WARN, "%sport %u: cannot ask the agent to redirect again",
		       pg_redirect_word(&e->want), e->want.pod_port);
}

/* Whether a change that the agent announced is told: not for ever when it does so all the time. */
static bool is_told(struct pg_redirect_set *r)
{
	return pg_quota_pass(&r->parkings, PARKINGS, PG_REDIRECT_SAY_MS, pg_loop_now_ms(r->loop)) >
	       0;
}

static void say_parked(struct pg_redirect_set *r, const struct pg_redirect_entry *e, int short_of)
{
	char address[PG_ADDR_TEXT], why[160];
	if (!is_told(r))
		return;
	pg_addr_text(&e->want.local, address);
	if (short_of)
		snprintf(why, sizeof(why), "the agent runs out of %s",
			 short_of == ENOMEM ? "memory" : "descriptors");
	else if (e->limited)
		snprintf(why, sizeof(why), "podgraft may open no more files here (ulimit -n)");
	else
		snprintf(why, sizeof(why), "%s does not take connections", address);
	pg_log(r->log, PG_WARN, "%sport %u: parked: %s, so %s", pg_redirect_word(&e->want),
	       e->want.pod_port, why,
	       e->want.outgoing ? "they go where the pod means them to"
				: "the app serves its clients itself");
}

static void say_armed(struct pg_redirect_set *r, const struct pg_redirect_entry *e)
{
	char address[PG_ADDR_TEXT];
	if (!is_told(r))
		return;
	pg_addr_text(&e->want.local, address);
	pg_log(r->log, PG_WARN, "%sport %u: %s %s: redirected again", pg_redirect_word(&e->want),
	       e->want.pod_port, e->short_of ? "the agent" : address,
	       e->short_of ? "has room again" : "takes connections");
}

static void end_taken(struct pg_redirect_set *r, struct pg_redirect_entry *e, const char *holder)
{
	char by[PG_OWNER_MAX + 1];
	if (e->taken)
		return;
	snprintf(by, sizeof(by), "%s", holder[0] ? holder : "somebody else");
	pg_sanitize(by);
	e->taken = true;
	e->armed = e->held = e->is_held_told = false;
	e->short_of = 0;
	pg_redirect_entry_stop_probing(e);
	if (r->manner->taken)
		r->manner->taken(r->manner->ctx, &e->want, by);
}

/* Parked for want of `short_of`, or, when that is 0, until somebody listens here. */
static void park(struct pg_redirect_set *r, struct pg_redirect_entry *e, int short_of)
{
	bool is_known = short_of ? e->short_of != 0 : e->probe != NULL;
	if (is_known)
		return;
	say_parked(r, e, short_of);
	if (short_of)
		e->short_of = short_of;
	else
		e->probe = pg_probe_new(r->loop, &e->want.local, on_found, e);
}

static void arm_again(struct pg_redirect_set *r, struct pg_redirect_entry *e)
{
	if (!e->probe && !e->short_of)
		return;
	pg_redirect_entry_stop_probing(e);
	say_armed(r, e);
	e->short_of = 0;
}

static struct pg_redirect_entry *find(struct pg_redirect_set *r, uint32_t id)
{
	return id >= 1 && id <= r->count ? &r->entries[id - 1] : NULL;
}

static void take_counts(struct pg_redirect_entry *e, const Podgraft__V1__RedirectCounts *counts)
{
	if (counts->serial != e->counting)
		pg_redirect_entry_settle(e);
	e->counting = counts->serial;
	e->undecided = counts->undecided;
	e->told.laptop = pg_min_u64(counts->laptop, PG_REDIRECT_COUNT_MAX);
	e->told.app = pg_min_u64(counts->app, PG_REDIRECT_COUNT_MAX);
	e->told.probes = pg_min_u64(counts->probes, PG_REDIRECT_COUNT_MAX);
}

/* While it was parked its agent hung, and another one took the port. */
static bool is_lost(const struct pg_redirect_entry *e, const Podgraft__V1__RedirectStatus *st)
{
	return e->probe && st->state == PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_FAILED &&
	       st->code == EBUSY;
}

/* The answer to another try at a port that others had. */
static void try_held(struct pg_redirect_entry *e, const Podgraft__V1__RedirectStatus *st)
{
	if (st->state == PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_FAILED &&
	    (st->code == EBUSY || st->code == EEXIST)) /* maybe by another one now */
		pg_redirect_holder_read(st, &e->holder);
	if (st->state != PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_ARMED)
		return;
	e->armed = e->was_armed = true;
	pg_redirect_entry_freed(e);
}

static void take_status(struct pg_redirect_set *r, struct pg_redirect_entry *e,
			const Podgraft__V1__RedirectStatus *st)
{
	if (st->state == PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_TAKEN || is_lost(e, st))
		end_taken(r, e, st->holder);
	else if (e->taken)
		return; /* it is not ours any more, whatever it says */
	else if (e->held)
		try_held(e, st);
	else if (st->state == PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_PARKED)
		park(r, e, st->code);
	else if (st->state == PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_ARMED)
		arm_again(r, e);
}

void pg_redirect_set_told(struct pg_redirect_set *r, struct pg_tunnel *t,
			  const Podgraft__V1__Control *msg)
{
	struct pg_redirect_entry *e = NULL;
	if (t != r->tunnel)
		return;
	if (msg->body_case == PODGRAFT__V1__CONTROL__BODY_REDIRECT_COUNTS &&
	    (e = find(r, msg->redirect_counts->redirect)))
		take_counts(e, msg->redirect_counts);
	else if (msg->body_case == PODGRAFT__V1__CONTROL__BODY_REDIRECT_STATUS && !r->is_over &&
		 (e = find(r, msg->redirect_status->redirect)))
		take_status(r, e, msg->redirect_status);
}
