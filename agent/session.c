#include "agent/session.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <uv.h>

#include "agent/ports_answer.h"
#include "agent/takeover.h"
#include "proto/base/mem.h"
#include "proto/io/lane_sock.h"
#include "proto/io/link.h"
#include "proto/io/sock.h"
#include "proto/mux/limits.h"

enum { LANE_SILENT_US = 4500000 };

struct lane {
	struct pg_session *session;
	struct pg_link *link; /* NULL: free slot */
	bool resting;         /* the laptop wants no new streams on it */
};

struct pg_session {
	struct pg_session_config config;
	struct lane lanes[PG_LANES_MAX];
	struct lane *spoken;          /* by which the laptop spoke last; NULL: that is gone */
	struct pg_takeover *takeover; /* one at a time; NULL: none is under way */
	struct lane *asker;           /* who waits for it (NULL: gone), and its question */
	uint32_t asked;
	uv_idle_t reaper; /* frees what ended, outside of its own callbacks */
	bool reaping, over;
};

static void say(struct lane *lane, const Podgraft__V1__Control *msg)
{
	if (pg_link_send(lane->link, msg) < 0)
		pg_log(lane->session->config.log, PG_ERROR, "no memory to answer a laptop");
}

static void answer_status(struct lane *lane, uint32_t request, Podgraft__V1__RedirectStatus *status)
{
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	msg.request = request;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_STATUS;
	msg.redirect_status = status;
	say(lane, &msg);
}

/* A lane that misses heartbeats carries nothing new, long before it counts as lost. */
static bool is_silent(const struct pg_link *link)
{
	return pg_mux_silence_us(pg_link_mux(link), pg_now_us()) > LANE_SILENT_US;
}

/* One that rests may be closed by the laptop before it has read what it is told there. */
static bool carries(const struct lane *lane)
{
	return lane->link && !lane->resting && !is_silent(lane->link);
}

/* Tells the laptop unasked: by the lane of its questions, so that news and answers arrive in their
 * order; else by another; by every lane that is there when none is known to live. */
static void announce(struct pg_session *s, const Podgraft__V1__Control *msg)
{
	struct lane *way = s->spoken && carries(s->spoken) ? s->spoken : NULL;
	for (int i = 0; i < PG_LANES_MAX && !way; i++)
		if (carries(&s->lanes[i]))
			way = &s->lanes[i];
	if (way) {
		say(way, msg);
		return;
	}
	for (int i = 0; i < PG_LANES_MAX; i++)
		if (s->lanes[i].link)
			say(&s->lanes[i], msg);
}

static void announce_status(struct pg_session *s, Podgraft__V1__RedirectStatus *status)
{
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_STATUS;
	msg.redirect_status = status;
	announce(s, &msg);
}

static void on_reap(uv_idle_t *idle);

static void schedule_reaping(struct pg_session *s)
{
	if (!s->reaping)
		uv_idle_start(&s->reaper, on_reap);
	s->reaping = true;
}

/* The lane for a new stream: the one with the fewest. NULL: none, or the session has too many. */
static struct pg_link *best_lane(const struct pg_session *s)
{
	struct pg_link *best = NULL;
	size_t least = SIZE_MAX, all = 0;
	for (int i = 0; i < PG_LANES_MAX; i++) {
		const struct lane *lane = &s->lanes[i];
		size_t streams = lane->link ? pg_mux_streams(pg_link_mux(lane->link)) : 0;
		all += streams;
		if (!lane->link || lane->resting || streams >= least || is_silent(lane->link))
			continue;
		best = lane->link;
		least = streams;
	}
	return all < s->config.max_streams ? best : NULL;
}

/* A connection has arrived: it becomes a stream, or goes to the app. */
static void on_arrived(void *ctx, const struct pg_redirect *rd, const struct pg_arrival *a)
{
	struct pg_session *s = ctx;
	pg_connections_serve(s->config.connections, best_lane(s), rd, a);
}

/* The redirect is parked for want of `code` (0: until the laptop starts it again), or armed. */
static void announce_state(struct pg_session *s, uint32_t id, bool parked, int code)
{
	Podgraft__V1__RedirectStatus status = PODGRAFT__V1__REDIRECT_STATUS__INIT;
	status.redirect = id;
	status.state = parked ? PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_PARKED
			      : PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_ARMED;
	status.code = code;
	announce_status(s, &status);
}

static void on_changed(void *ctx, const struct pg_redirect *rd)
{
	struct pg_session *s = ctx;
	announce_state(s, rd->id, rd->parked,
		       rd->unserved ? 0 : pg_redirects_short_of(s->config.redirects));
}

static void on_counted(void *ctx, const struct pg_redirect *rd)
{
	Podgraft__V1__RedirectCounts counts = PODGRAFT__V1__REDIRECT_COUNTS__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	counts.redirect = rd->id;
	counts.laptop = rd->served[PG_BY_LAPTOP];
	counts.app = rd->served[PG_BY_APP];
	counts.probes = rd->served[PG_AS_PROBE];
	counts.serial = rd->serial;
	counts.undecided = rd->undecided;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_COUNTS;
	msg.redirect_counts = &counts;
	announce(ctx, &msg);
}

static size_t on_undecided(void *ctx, uint32_t serial)
{
	const struct pg_session *s = ctx;
	return pg_connections_undecided(s->config.connections, serial);
}

static void on_taken(void *ctx, const struct pg_redirect *rd, const struct pg_claim *by)
{
	Podgraft__V1__RedirectStatus status = PODGRAFT__V1__REDIRECT_STATUS__INIT;
	status.redirect = rd->id;
	status.state = PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_TAKEN;
	status.holder = (char *)by->holder;
	status.since = by->since;
	announce_status(ctx, &status);
}

/* A laptop that does not say anything gives way to one that does, mostly itself. Should it come
 * back, it finds its session gone, and learns of the other one when it asks for its ports again. */
static bool on_yield(void *ctx)
{
	struct pg_session *s = ctx;
	if (!pg_session_is_silent(s))
		return false;
	s->over = true;
	schedule_reaping(s);
	return true;
}

static const struct pg_redirect_owner redirect_owner = {
	.arrived = on_arrived,
	.counted = on_counted,
	.undecided = on_undecided,
	.changed = on_changed,
	.taken = on_taken,
	.yield = on_yield,
};

/* The answer to a start: armed, or why not. */
static void answer_start(struct lane *lane, uint32_t request, const struct pg_takeover_wish *wish,
			 int code, const struct pg_claim *claim, const struct pg_err *err)
{
	Podgraft__V1__RedirectStatus status = PODGRAFT__V1__REDIRECT_STATUS__INIT;
	status.redirect = wish->id;
	if (code == 0) {
		status.state = PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_ARMED;
		status.text = (char *)pg_redirects_mechanism(wish->redirects, wish->rule.direction);
	} else {
		status.state = PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_FAILED;
		status.code = -code;
		status.text = (char *)err->what;
		status.hint = (char *)err->hint;
		status.holder = (char *)claim->holder;
		status.since = claim->since;
	}
	answer_status(lane, request, &status);
	int shortage = pg_redirects_short_of(wish->redirects);
	if (code == 0 && shortage && !wish->terms.no_fallback)
		announce_state(lane->session, wish->id, true, shortage);
}

static void on_takeover_done(void *ctx, const struct pg_takeover_wish *wish, int code,
			     const struct pg_claim *claim, const struct pg_err *err)
{
	struct pg_session *s = ctx;
	s->takeover = NULL;
	if (s->asker) /* else the laptop asks again when it is back */
		answer_start(s->asker, s->asked, wish, code, claim, err);
}

/* Another agent has the port and was asked for it: the answer waits for what comes of that. */
static int await_takeover(struct lane *lane, uint32_t request, const struct pg_takeover_wish *wish,
			  struct pg_err *err)
{
	struct pg_session *s = lane->session;
	s->takeover = pg_takeover_new(wish);
	if (!s->takeover) {
		pg_redirects_take_no_more(wish->redirects, wish->rule.direction, wish->rule.port);
		return pg_fail(err, -ENOMEM, "take a port over");
	}
	s->asker = lane;
	s->asked = request;
	return -EAGAIN;
}

/* `to` has room for PG_NETWORKS_MAX and is borrowed by the result, as `start` is. */
static struct pg_rule rule_of(const Podgraft__V1__RedirectStart *start, struct pg_network *to)
{
	for (size_t i = 0; i < start->n_to; i++)
		pg_network_set(&to[i], start->to[i]->address.data, start->to[i]->address.len,
			       start->to[i]->prefix);
	return (struct pg_rule){ .direction = start->outgoing ? PG_OUTGOING : PG_INCOMING,
				 .port = (uint16_t)start->port,
				 .holder = start->owner,
				 .no_local = start->no_local,
				 .wire = start->wire,
				 .to = to,
				 .to_count = start->n_to,
				 .only_uid = start->only_uid,
				 .uid = start->uid };
}

static struct pg_redirect_terms terms_of(const Podgraft__V1__RedirectStart *start)
{
	struct pg_redirect_terms terms = { .no_fallback = start->no_fallback,
					   .grpc = start->grpc_probes };
	for (size_t i = 0; i < start->n_nodes; i++)
		pg_nodes_add(&terms.nodes, start->nodes[i].data, start->nodes[i].len);
	return terms;
}

static void start_redirect(struct lane *lane, uint32_t request,
			   const Podgraft__V1__RedirectStart *start)
{
	struct pg_session *s = lane->session;
	struct pg_network to[PG_NETWORKS_MAX];
	struct pg_takeover_wish wish = { .loop = s->config.loop,
					 .redirects = s->config.redirects,
					 .id = start->redirect,
					 .rule = rule_of(start, to),
					 .terms = terms_of(start),
					 .owner = &redirect_owner,
					 .ctx = s,
					 .done = on_takeover_done };
	struct pg_claim claim = { .holder = "" };
	struct pg_err err = { 0 };
	wish.rule.take_over = start->take_over && !s->takeover;
	int code = pg_redirects_start(wish.redirects, wish.id, &wish.rule, &wish.terms, wish.owner,
				      wish.ctx, &claim, &err);
	if (code == -EAGAIN)
		code = await_takeover(lane, request, &wish, &err);
	if (code != -EAGAIN)
		answer_start(lane, request, &wish, code, &claim, &err);
}

static void stop_redirect(struct lane *lane, uint32_t request, uint32_t id)
{
	struct pg_session *s = lane->session;
	struct pg_err err = { 0 };
	Podgraft__V1__RedirectStatus status = PODGRAFT__V1__REDIRECT_STATUS__INIT;
	status.redirect = id;
	status.state = PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_STOPPED;
	int rc = pg_redirects_stop(s->config.redirects, id, s, &err);
	if (rc < 0) {
		status.state = PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_FAILED;
		status.code = -rc;
		status.text = err.what;
	}
	answer_status(lane, request, &status);
}

static void tell_undone(struct lane *lane, uint32_t request, Podgraft__V1__Undone *undone)
{
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	msg.request = request;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_UNDONE;
	msg.undone = undone;
	if (pg_link_send(lane->link, &msg) < 0)
		pg_log(lane->session->config.log, PG_ERROR, "no memory to answer a laptop");
}

void pg_session_tell_undone(struct pg_session *s, Podgraft__V1__Undone *undone)
{
	for (int i = 0; i < PG_LANES_MAX; i++)
		if (s->lanes[i].link)
			tell_undone(&s->lanes[i], 0, undone);
}

static void undo(struct lane *lane, uint32_t request, char *by)
{
	struct pg_session *s = lane->session;
	Podgraft__V1__Undone undone = PODGRAFT__V1__UNDONE__INIT;
	undone.by = by;
	pg_takeover_cancel(pg_take_ptr(&s->takeover));
	s->config.undo(s->config.ctx, s, &undone);
	tell_undone(lane, request, &undone);
}

/* What was opened on it is under way before the answer, and nothing after it: so the laptop knows
 * when it may close the lane. */
static void rest(struct lane *lane, const Podgraft__V1__Control *question)
{
	lane->resting = true;
	say(lane, question);
}

static void on_control(void *ctx, const Podgraft__V1__Control *msg)
{
	struct lane *lane = ctx;
	if (msg->body_case != PODGRAFT__V1__CONTROL__BODY_LANE_REST)
		lane->session->spoken = lane;
	switch (msg->body_case) {
	case PODGRAFT__V1__CONTROL__BODY_REDIRECT_START:
		start_redirect(lane, msg->request, msg->redirect_start);
		break;
	case PODGRAFT__V1__CONTROL__BODY_REDIRECT_STOP:
		stop_redirect(lane, msg->request, msg->redirect_stop->redirect);
		break;
	case PODGRAFT__V1__CONTROL__BODY_PORTS_REQUEST:
		pg_ports_answer(lane->link, msg->request, lane->session->config.log);
		break;
	case PODGRAFT__V1__CONTROL__BODY_UNDO:
		undo(lane, msg->request, msg->undo->by);
		break;
	case PODGRAFT__V1__CONTROL__BODY_GOODBYE:
		pg_takeover_cancel(pg_take_ptr(&lane->session->takeover));
		pg_redirects_stop_all(lane->session->config.redirects, lane->session);
		lane->session->over = true;
		schedule_reaping(lane->session);
		break;
	case PODGRAFT__V1__CONTROL__BODY_LANE_REST:
		rest(lane, msg);
		break;
	default: /* an answer to a question that an agent never asks */
		break;
	}
}

/* The end of a shortage, which that may be, is news: not for this lane any more. */
static void free_link(struct lane *lane)
{
	struct pg_link *link = pg_take_ptr(&lane->link);
	pg_link_free(link);
	if (link)
		pg_pressure_lane(lane->session->config.pressure, -1);
}

static void end_lane(struct lane *lane)
{
	struct pg_session *s = lane->session;
	if (s->spoken == lane)
		s->spoken = NULL;
	if (s->asker == lane)
		s->asker = NULL;
	free_link(lane);
}

/* What was said by it last may not have arrived: the other lanes say it again. */
static void on_link_ended(void *ctx, const struct pg_err *why)
{
	struct lane *lane = ctx;
	struct pg_session *s = lane->session;
	if (why)
		pg_log(s->config.log, PG_WARN, "a laptop's link is lost: %s", why->what);
	end_lane(lane);
	pg_redirects_tell_again(s->config.redirects, s);
	schedule_reaping(s);
}

struct pg_session *pg_session_new(const struct pg_session_config *config)
{
	struct pg_session *s = pg_calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->config = *config;
	for (int i = 0; i < PG_LANES_MAX; i++)
		s->lanes[i].session = s;
	uv_idle_init(pg_loop_uv(config->loop), &s->reaper);
	s->reaper.data = s;
	return s;
}

int pg_session_lane(struct pg_session *s, int fd, const uint8_t *extra, size_t n)
{
	struct lane *lane = NULL;
	for (int i = 0; i < PG_LANES_MAX; i++) {
		struct lane *l = &s->lanes[i];
		if (l->link && is_silent(l->link)) /* what the new one is for */
			end_lane(l);
		if (!l->link)
			lane = l;
	}
	schedule_reaping(s); /* it is over if this lane fails and was its first */
	if (!lane) {
		pg_sock_close_reset(fd);
		return -EMFILE;
	}
	lane->resting = false;
	struct pg_link_config config = { .max_streams = s->config.max_streams,
					 .pool = s->config.pool,
					 .events = { .control = on_control,
						     .ended = on_link_ended },
					 .ctx = lane };
	struct pg_lane *carrier;
	int rc = pg_lane_sock_new(s->config.loop, fd, (struct pg_lane_events){ 0 }, NULL, &carrier);
	if (rc == 0)
		rc = pg_link_new(s->config.loop, carrier, &config, extra, n, &lane->link);
	if (rc == 0)
		pg_pressure_lane(s->config.pressure, 1);
	return rc;
}

int pg_session_lanes(const struct pg_session *s)
{
	int n = 0;
	for (int i = 0; i < PG_LANES_MAX; i++)
		n += s->lanes[i].link != NULL;
	return n;
}

bool pg_session_is_silent(const struct pg_session *s)
{
	for (int i = 0; i < PG_LANES_MAX; i++)
		if (s->lanes[i].link && !is_silent(s->lanes[i].link))
			return false;
	return true;
}

const uint8_t *pg_session_id(const struct pg_session *s)
{
	return s->config.id;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void pg_session_free(struct pg_session *s)
{
	pg_takeover_cancel(s->takeover);
	pg_redirects_stop_all(s->config.redirects, s);
	for (int i = 0; i < PG_LANES_MAX; i++)
		free_link(&s->lanes[i]);
	uv_close((uv_handle_t *)&s->reaper, on_closed);
}

/* A session without lanes, or one whose laptop said goodbye, is over. */
static void on_reap(uv_idle_t *idle)
{
	struct pg_session *s = idle->data;
	uv_idle_stop(idle);
	s->reaping = false;
	if (pg_session_lanes(s) > 0 && !s->over)
		return;
	pg_redirects_leave(s->config.redirects, s); /* after a goodbye there are none */
	s->config.ended(s->config.ctx, s);
	pg_session_free(s);
}
