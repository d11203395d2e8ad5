#include "injector/redirect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "injector/probe.h"
#include "injector/redirect_start.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"
#include "proto/io/relay.h"
#include "proto/io/sock.h"

enum {
	REDIRECTS_MAX = 256,
	REFUSALS_MS = 10000, /* in this time one refusal is told, and a few parkings */
	PARKINGS = 6,
	OWN_PATIENCE_MS = 2500, /* for a port that a podgraft of our own still holds */
	OWN_RETRY_MS = 250,
};

/* The most that an agent is believed to have counted: what JSON's numbers hold exactly. */
static const uint64_t COUNT_MAX = 1ull << 53;

struct entry {
	struct pg_redirects *all;
	struct pg_redirect_want want;
	bool armed;
	bool was_armed;         /* once: what it is taken from later is not taken back */
	bool taken;             /* somebody else has the port: it is not armed again */
	bool limited;           /* we had no descriptor or memory for its last connection */
	struct pg_probe *probe; /* while parked: waits for somebody to listen here */
	int short_of;           /* EMFILE or ENOMEM: parked, for the agent is short of it; or 0 */
	struct pg_redirect_counts told; /* laptop, app, probes: by the agent that it is armed at */
};

struct connection {
	struct pg_redirects *all;
	struct connection *next, **link;
	const struct entry *entry;
	struct pg_relay *relay;
};

struct pg_redirects {
	struct pg_loop *loop;
	const struct pg_log *log;
	const struct pg_redirect_manner *manner;
	struct pg_tunnel *tunnel;            /* of the last arming; for probes */
	struct entry entries[REDIRECTS_MAX]; /* a redirect's id is its index + 1 */
	size_t count;
	struct connection *first;
	struct pg_redirect_counts counts;
	struct pg_rate refusals, parkings; /* what a client or an agent can make us say at will */
};

const char *pg_redirect_word(const struct pg_redirect_want *want)
{
	return want->outgoing ? "outgoing " : "";
}

struct pg_redirects *pg_redirects_new(struct pg_loop *loop, const struct pg_log *log,
				      const struct pg_redirect_manner *manner)
{
	struct pg_redirects *r = pg_calloc(1, sizeof(*r));
	if (r)
		*r = (struct pg_redirects){ .loop = loop, .log = log, .manner = manner };
	return r;
}

static void drop(struct connection *c)
{
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->all->counts.open--;
	if (c->relay) {
		c->all->counts.bytes_in += pg_relay_bytes_down(c->relay);
		c->all->counts.bytes_out += pg_relay_bytes_up(c->relay);
	}
	free(c);
}

void pg_redirects_cut(struct pg_redirects *r)
{
	while (r->first) {
		pg_relay_free(r->first->relay);
		drop(r->first);
	}
}

void pg_redirects_free(struct pg_redirects *r)
{
	if (!r)
		return;
	pg_redirects_cut(r);
	pg_redirects_disarmed(r);
	free(r);
}

static void say_refused(struct pg_redirects *r, const struct entry *e, const char *why)
{
	char text[PG_ADDR_TEXT];
	r->counts.refused++;
	pg_addr_text(&e->want.local, text);
	if (pg_rate_pass(&r->refusals, 1, REFUSALS_MS, pg_loop_now_ms(r->loop)) > 0)
		pg_log(r->log, PG_INFO, "%sport %u: %s: %s", pg_redirect_word(&e->want),
		       e->want.pod_port, text, why);
}

static void on_relay_ended(void *ctx, enum pg_reset why)
{
	struct connection *c = ctx;
	if (why == PG_RESET_REFUSED || why == PG_RESET_TIMEOUT)
		say_refused(c->all, c->entry, pg_reset_name(why));
	drop(c);
}

static const struct pg_relay_events relay_events = { .ended = on_relay_ended };

/* A connection object on the list, with its relay to a socket that is being connected. */
static int add(struct pg_redirects *r, const struct entry *e, int fd, struct connection **out)
{
	struct connection *c = pg_calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	int rc = pg_relay_new(r->loop, fd, true, &relay_events, c, &c->relay);
	if (rc < 0) {
		free(c);
		return rc;
	}
	c->all = r;
	c->entry = e;
	c->next = r->first;
	c->link = &r->first;
	if (c->next)
		c->next->link = &c->next;
	r->first = c;
	r->counts.open++;
	*out = c;
	return 0;
}

/* Tells whoever wants to know who calls, and the local program, if it is to be told. */
static int introduce(struct pg_redirects *r, const struct entry *e, const Podgraft__V1__Open *open,
		     struct pg_relay *relay)
{
	struct sockaddr_storage peer = { 0 }, local = { 0 };
	uint8_t header[PG_PROXY_HEADER_MAX];
	pg_addr_set(&peer, open->peer_address.data, (int)open->peer_address.len,
		    (uint16_t)open->peer_port);
	pg_addr_set(&local, open->local_address.data, (int)open->local_address.len,
		    (uint16_t)open->local_port);
	if (r->manner->opened)
		r->manner->opened(r->manner->ctx, &e->want, &peer, &local);
	size_t n = pg_proxy_header(r->manner->proxy, &peer, &local, header);
	return n > 0 ? pg_relay_begin_with(relay, header, n) : 0;
}

enum pg_reset pg_redirects_opened(void *ctx, struct pg_stream *s, const Podgraft__V1__Open *open,
				  struct pg_relay **relay_out)
{
	struct pg_redirects *r = ctx;
	struct connection *c;
	if (open->redirect == 0 || open->redirect > r->count)
		return PG_RESET_UNKNOWN;
	struct entry *e = &r->entries[open->redirect - 1];
	r->counts.total++;
	int fd = pg_sock_connect((const struct sockaddr *)&e->want.local, 0);
	e->limited = fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS;
	if (fd < 0) {
		say_refused(r, e, strerror(-fd));
		return e->limited ? PG_RESET_LIMIT : PG_RESET_REFUSED;
	}
	if (add(r, e, fd, &c) < 0) {
		pg_sock_close_reset(fd);
		e->limited = true;
		return PG_RESET_LIMIT;
	}
	if (introduce(r, e, open, c->relay) < 0) {
		pg_relay_free(c->relay);
		drop(c);
		return PG_RESET_LIMIT;
	}
	*relay_out = c->relay; /* `c` may end while it is attached */
	pg_relay_attach(*relay_out, s);
	return 0;
}

/* What the agent said about a redirect that it could not arm. */
static int explain(const Podgraft__V1__RedirectStatus *st, const struct pg_redirect_want *want,
		   struct pg_err *err)
{
	char text[PG_TEXT_MAX + 1];
	const char *word = pg_redirect_word(want);
	size_t n = (size_t)snprintf(text, sizeof(text), "%s", st->text);
	pg_sanitize(text);
	if (n > 0 && n < sizeof(text) && text[n - 1] == '.') /* ours ends in one */
		text[n - 1] = '\0';
	if (st->code != EBUSY && st->code != EEXIST) {
		pg_fail(err, st->code > 0 ? -st->code : -EIO, "redirect of %sport %u: %s.", word,
			want->pod_port, text);
		snprintf(text, sizeof(text), "%s", st->hint);
		pg_sanitize(text);
		return text[0] ? pg_hint(err, PG_TARGET, "%s", text) : pg_blame(err, PG_TARGET);
	}
	char holder[PG_OWNER_MAX + 1], when[32] = "";
	snprintf(holder, sizeof(holder), "%s", st->holder);
	pg_sanitize(holder);
	time_t since = (time_t)st->since;
	struct tm tm;
	if (st->since > 0 && localtime_r(&since, &tm) &&
	    strftime(when, sizeof(when), " since %F %T", &tm) == 0)
		when[0] = '\0'; /* a year of many digits: nobody's clock */
	pg_fail(err, -st->code, "%sport %u is redirected by %s%s.", word, want->pod_port,
		holder[0] ? holder : "somebody else", when);
	if (st->code == EEXIST) /* the same agent, hence the same key */
		return pg_hint(err, PG_TARGET,
			       "that is a podgraft of your own: end it there, or take the port "
			       "over with --take-over");
	return pg_hint(err, PG_TARGET,
		       "ask them to end it, or take the port over with --take-over");
}

int pg_redirects_add(struct pg_redirects *r, const struct pg_redirect_want *want,
		     struct pg_err *err)
{
	if (r->count == REDIRECTS_MAX)
		return pg_fail(err, -ENOSPC, "more than %d redirects.", REDIRECTS_MAX);
	r->entries[r->count++] = (struct entry){ .all = r, .want = *want };
	return 0;
}

static void start_message(const struct entry *e, struct pg_redirect_start *out)
{
	uint32_t id = (uint32_t)(e - e->all->entries) + 1;
	pg_redirect_start_fill(out, id, &e->want, e->all->manner);
	out->body.take_over = e->all->manner->take_over && !e->was_armed;
}

static void take_mechanism(const char *text, char out[32])
{
	snprintf(out, 32, "%s", text);
	pg_sanitize(out); /* now valid UTF-8 however it was cut: JSON takes nothing else */
}

static int arm_one(struct pg_redirects *r, size_t i, struct pg_tunnel *t, char mechanism_out[32],
		   struct pg_err *err)
{
	struct entry *e = &r->entries[i];
	struct pg_redirect_start start;
	Podgraft__V1__Control *answer;
	start_message(e, &start);
	int rc = pg_tunnel_ask(t, &start.msg, &answer, err);
	if (rc < 0)
		return rc;
	const Podgraft__V1__RedirectStatus *st = answer->redirect_status;
	if (answer->body_case != PODGRAFT__V1__CONTROL__BODY_REDIRECT_STATUS)
		rc = pg_fail(err, -EPROTO, "the agent answers another question");
	else if (st->state != PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_ARMED)
		rc = explain(st, &e->want, err);
	else if (!e->want.outgoing || !mechanism_out[0])
		take_mechanism(st->text, mechanism_out);
	pg_msg_free(answer);
	e->armed = rc == 0;
	e->was_armed = e->was_armed || e->armed;
	return rc;
}

void pg_redirects_replan(struct pg_redirects *r, size_t i, const struct pg_redirect_want *want)
{
	if (i < r->count)
		r->entries[i].want = *want;
}

int pg_redirects_arm(struct pg_redirects *r, struct pg_tunnel *t, char mechanism_out[32],
		     struct pg_err *err)
{
	const bool never = false;
	uint64_t patience_ms = pg_loop_now_ms(r->loop) + OWN_PATIENCE_MS;
	r->tunnel = t;
	for (size_t i = 0; i < r->count;) {
		bool done = r->entries[i].armed || r->entries[i].taken;
		int rc = done ? 0 : arm_one(r, i, t, mechanism_out, err);
		if (rc == 0) {
			i++;
			continue;
		}
		/* Held by a podgraft of our own, which may just have been killed: the agent hears
		 * of that when the node has closed its connection. */
		uint64_t now = pg_loop_now_ms(r->loop);
		if (rc != -EEXIST || now > patience_ms)
			return rc;
		if (pg_loop_wait(r->loop, &never, now + OWN_RETRY_MS) == -ECANCELED)
			return pg_fail(err, -ECANCELED, "redirect %sport %u",
				       pg_redirect_word(&r->entries[i].want),
				       r->entries[i].want.pod_port);
	}
	return 0;
}

static void stop_probing(struct entry *e)
{
	pg_probe_free(e->probe);
	e->probe = NULL;
}

static void add_told(struct pg_redirect_counts *sum, const struct entry *e)
{
	sum->laptop += e->told.laptop;
	sum->app += e->told.app;
	sum->probes += e->told.probes;
}

void pg_redirects_disarmed(struct pg_redirects *r)
{
	r->tunnel = NULL;
	for (size_t i = 0; i < r->count; i++) {
		struct entry *e = &r->entries[i];
		e->armed = false;
		e->short_of = 0;
		stop_probing(e);
		add_told(&r->counts, e); /* the next agent begins with nothing */
		e->told = (struct pg_redirect_counts){ 0 };
	}
}

/* Somebody listens on the local port again. */
static void on_found(void *ctx)
{
	struct entry *e = ctx;
	struct pg_redirect_start start;
	start_message(e, &start);
	if (e->all->tunnel && pg_tunnel_tell(e->all->tunnel, &start.msg) < 0)
		pg_log(e->all->log, PG_WARN, "%sport %u: cannot ask the agent to redirect again",
		       pg_redirect_word(&e->want), e->want.pod_port);
}

/* Whether a change that the agent announced is told: not for ever when it does so all the time. */
static bool is_told(struct pg_redirects *r)
{
	return pg_rate_pass(&r->parkings, PARKINGS, REFUSALS_MS, pg_loop_now_ms(r->loop)) > 0;
}

static void say_parked(struct pg_redirects *r, const struct entry *e, int short_of)
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

static void say_armed(struct pg_redirects *r, const struct entry *e)
{
	char address[PG_ADDR_TEXT];
	if (!is_told(r))
		return;
	pg_addr_text(&e->want.local, address);
	pg_log(r->log, PG_WARN, "%sport %u: %s %s: redirected again", pg_redirect_word(&e->want),
	       e->want.pod_port, e->short_of ? "the agent" : address,
	       e->short_of ? "has room again" : "takes connections");
}

static void end_taken(struct pg_redirects *r, struct entry *e, const char *holder)
{
	char by[PG_OWNER_MAX + 1];
	if (e->taken)
		return;
	snprintf(by, sizeof(by), "%s", holder[0] ? holder : "somebody else");
	pg_sanitize(by);
	e->taken = true;
	e->armed = false;
	e->short_of = 0;
	stop_probing(e);
	if (r->manner->taken)
		r->manner->taken(r->manner->ctx, &e->want, by);
}

/* Parked for want of `short_of`, or, when that is 0, until somebody listens here. */
static void park(struct pg_redirects *r, struct entry *e, int short_of)
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

static void arm_again(struct pg_redirects *r, struct entry *e)
{
	if (!e->probe && !e->short_of)
		return;
	stop_probing(e);
	say_armed(r, e);
	e->short_of = 0;
}

static struct entry *find(struct pg_redirects *r, uint32_t id)
{
	return id >= 1 && id <= r->count ? &r->entries[id - 1] : NULL;
}

static void take_counts(struct entry *e, const Podgraft__V1__RedirectCounts *counts)
{
	e->told.laptop = pg_min_u64(counts->laptop, COUNT_MAX);
	e->told.app = pg_min_u64(counts->app, COUNT_MAX);
	e->told.probes = pg_min_u64(counts->probes, COUNT_MAX);
}

static void take_status(struct pg_redirects *r, struct entry *e,
			const Podgraft__V1__RedirectStatus *st)
{
	if (st->state == PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_TAKEN)
		end_taken(r, e, st->holder);
	else if (e->taken)
		return; /* it is not ours any more, whatever it says */
	else if (st->state == PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_PARKED)
		park(r, e, st->code);
	else if (st->state == PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_ARMED)
		arm_again(r, e);
}

void pg_redirects_told(struct pg_redirects *r, struct pg_tunnel *t,
		       const Podgraft__V1__Control *msg)
{
	struct entry *e = NULL;
	if (t != r->tunnel)
		return;
	if (msg->body_case == PODGRAFT__V1__CONTROL__BODY_REDIRECT_COUNTS &&
	    (e = find(r, msg->redirect_counts->redirect)))
		take_counts(e, msg->redirect_counts);
	else if (msg->body_case == PODGRAFT__V1__CONTROL__BODY_REDIRECT_STATUS &&
		 (e = find(r, msg->redirect_status->redirect)))
		take_status(r, e, msg->redirect_status);
}

void pg_redirects_stop(struct pg_redirects *r, struct pg_tunnel *t)
{
	for (size_t i = 0; i < r->count; i++) {
		Podgraft__V1__RedirectStop stop = PODGRAFT__V1__REDIRECT_STOP__INIT;
		Podgraft__V1__Control question = PODGRAFT__V1__CONTROL__INIT, *answer;
		struct pg_err err = { 0 };
		if (!r->entries[i].armed)
			continue;
		r->entries[i].armed = false;
		stop.redirect = (uint32_t)i + 1;
		question.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_STOP;
		question.redirect_stop = &stop;
		if (pg_tunnel_ask(t, &question, &answer, &err) == 0)
			pg_msg_free(answer);
		else
			pg_log(r->log, PG_DEBUG, "stop the redirect of %sport %u: %s",
			       pg_redirect_word(&r->entries[i].want), r->entries[i].want.pod_port,
			       err.what);
	}
}

struct pg_redirect_counts pg_redirects_counts(const struct pg_redirects *r)
{
	struct pg_redirect_counts counts = r->counts;
	counts.redirects = r->count;
	for (size_t i = 0; i < r->count; i++) {
		counts.parked += r->entries[i].probe || r->entries[i].short_of;
		counts.taken += r->entries[i].taken;
		add_told(&counts, &r->entries[i]);
	}
	return counts;
}
