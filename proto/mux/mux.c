#include "proto/mux/mux.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/num.h"
#include "proto/mux/mux_impl.h"

void pg_mux_wake_(struct pg_mux *m)
{
	if (m->is_awake || m->is_ending || m->broken < 0)
		return;
	m->is_awake = true;
	m->config.ops->wake(m->config.ctx);
}

void pg_mux_clock_(struct pg_mux *m, uint64_t now_us)
{
	if (now_us > m->now_us)
		m->now_us = now_us;
}

struct pg_round pg_mux_round_(const struct pg_mux *m)
{
	struct pg_round round = { .us = pg_rtt_least(&m->rtt), .trips = PG_TRIPS };
	if (m->now_us < m->rough_until_us)
		round.trips = PG_TRIPS_ROUGH;
	if (round.us > PG_RTT_FLOOR_US) /* nearby, a window has grown before it matters */
		round.known = round.trips * pg_pace_within(&m->pace, round.us);
	else
		round.us = PG_RTT_FLOOR_US;
	return round;
}

void pg_mux_heard_(struct pg_mux *m, size_t n)
{
	uint64_t gap_us = m->now_us - m->heard_us;
	if (n >= PG_CREDIT_OWN && gap_us >= pg_mux_round_(m).us / 2)
		m->rough_until_us = m->now_us + PG_STALL_MS * 1000ULL;
	m->heard_us = m->now_us;
}

void pg_mux_owe_(struct pg_stream *s, unsigned owed)
{
	s->owed |= owed;
	pg_sched_join(&s->mux->urgent, &s->in_urgent);
	pg_mux_wake_(s->mux);
}

void pg_mux_ready_(struct pg_stream *s)
{
	if (!s->is_readable || !pg_stream_sends(s) || pg_allowance_usable(&s->out) == 0)
		return;
	pg_sched_join(&s->mux->ready, &s->in_ready);
	pg_mux_wake_(s->mux);
}

void pg_mux_retire_(struct pg_stream *s, enum pg_stream_ev why)
{
	struct pg_mux *m = s->mux;
	int rc = pg_stream_step(&s->state, why);
	assert(rc == 0);
	(void)rc;
	pg_table_drop(&m->table, s);
	pg_window_fini(&s->in, m->config.pool);
	pg_sched_leave(&m->all, &s->in_all);
	pg_sched_leave(&m->ready, &s->in_ready);
	pg_sched_leave(&m->rich, &s->in_rich);
	pg_sched_leave(&m->urgent, &s->in_urgent);
	s->owed = 0;
}

void pg_mux_bury_(struct pg_stream *s)
{
	assert(s->state == PG_ST_GONE);
	if (!(s->owed & PG_OWES_RESET))
		free(s);
}

static void owe_reset(struct pg_stream *s, enum pg_reset reason)
{
	s->reset = reason;
	s->mux->zombies++;
	pg_mux_owe_(s, PG_OWES_RESET);
}

void pg_mux_settle_(struct pg_stream *s)
{
	if (s->state != PG_ST_ENDED || s->in.held > 0)
		return;
	pg_mux_retire_(s, PG_EV_DRAINED);
	s->mux->config.ops->gone(s->user, PG_RESET_ILLEGAL);
	pg_mux_bury_(s);
}

void pg_mux_abort_(struct pg_stream *s, enum pg_reset reason, bool owes)
{
	pg_mux_retire_(s, PG_EV_RESET);
	if (owes)
		owe_reset(s, reason);
	s->mux->config.ops->gone(s->user, reason);
	pg_mux_bury_(s);
}

struct pg_mux *pg_mux_new(const struct pg_mux_config *config, uint64_t now_us)
{
	struct pg_mux *m = pg_calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->config = *config;
	m->now_us = now_us;
	m->heard_us = now_us;
	m->ping_at_us = now_us;
	m->spare_at_us = now_us + PG_SPARE_MS * 1000ULL;
	m->next_id = config->odd ? 1 : 2;
	m->look = 1;
	/* Where the heap happens to lie and when is not known to a peer. */
	pg_table_init(&m->table, (uint64_t)(uintptr_t)m ^ now_us << 32);
	pg_sched_init(&m->all);
	pg_sched_init(&m->urgent);
	pg_sched_init(&m->ready);
	pg_sched_init(&m->rich);
	pg_byteq_init(&m->queue, PG_OPEN_QUEUE + PG_CONTROL_QUEUE + PG_REFUSED_QUEUE);
	pg_rtt_init(&m->rtt, now_us);
	return m;
}

void pg_mux_free(struct pg_mux *m)
{
	if (!m)
		return;
	m->is_ending = true;
	struct pg_turn *t;
	while ((t = pg_sched_first(&m->all)) != NULL)
		pg_mux_abort_(PG_STREAM_OF(t, in_all), PG_RESET_GOING, false);
	while ((t = pg_sched_first(&m->urgent)) != NULL) {
		pg_sched_leave(&m->urgent, t);
		free(PG_STREAM_OF(t, in_urgent));
	}
	pg_table_fini(&m->table);
	pg_byteq_fini(&m->queue);
	free(m);
}

const char *pg_mux_fault(const struct pg_mux *m)
{
	return m->fault;
}

/* A ping is due: busy lanes learn their round trip and their end sooner. */
static void heartbeat(struct pg_mux *m)
{
	if (m->now_us < m->ping_at_us)
		return;
	bool is_busy = m->bytes_in + m->bytes_out != m->ping_moved;
	m->ping_at_us = m->now_us + (is_busy ? PG_PING_BUSY_MS : PG_PING_IDLE_MS) * 1000ULL;
	if (m->is_ping_due || m->is_ping_out)
		return;
	m->is_ping_due = true;
	pg_mux_wake_(m);
}

/* Gives back to the peer what its grants hold beyond need. */
static void give_back(struct pg_mux *m)
{
	if (m->now_us < m->spare_at_us)
		return;
	m->spare_at_us = m->now_us + PG_SPARE_MS * 1000ULL;
	struct pg_turn *t = pg_sched_first(&m->rich);
	while (t) {
		struct pg_stream *s = PG_STREAM_OF(t, in_rich);
		t = pg_sched_next(&m->rich, t);
		if (s->given_back > 0)
			continue; /* what was given back before is not even sent */
		s->given_back = pg_allowance_spare(&s->out);
		if (s->given_back > 0)
			pg_mux_owe_(s, PG_OWES_RETURN);
		if (s->out.left <= PG_CREDIT_OWN)
			pg_sched_leave(&m->rich, &s->in_rich);
	}
}

uint64_t pg_mux_tick(struct pg_mux *m, uint64_t now_us)
{
	pg_mux_clock_(m, now_us);
	heartbeat(m);
	give_back(m);
	if (m->rich.n == 0)
		return m->ping_at_us;
	return pg_min_u64(m->ping_at_us, m->spare_at_us);
}

uint64_t pg_mux_silence_us(const struct pg_mux *m, uint64_t now_us)
{
	return now_us > m->heard_us ? now_us - m->heard_us : 0;
}

uint64_t pg_mux_rtt_us(const struct pg_mux *m)
{
	return m->rtt.last_us;
}

uint64_t pg_mux_rtt_min_us(const struct pg_mux *m)
{
	return pg_rtt_least(&m->rtt);
}

size_t pg_mux_streams(const struct pg_mux *m)
{
	return m->all.n;
}

void pg_mux_moves_(struct pg_stream *s)
{
	if (s->look == s->mux->look)
		return;
	s->look = s->mux->look;
	s->mux->lively++;
}

size_t pg_mux_lively(struct pg_mux *m)
{
	size_t n = m->lively;
	m->lively = 0;
	m->look++;
	return n;
}

uint64_t pg_mux_bytes_in(const struct pg_mux *m)
{
	return m->bytes_in;
}

uint64_t pg_mux_bytes_out(const struct pg_mux *m)
{
	return m->bytes_out;
}

int pg_mux_enqueue_(struct pg_mux *m, const struct pg_frame *f, const uint8_t *payload,
		    size_t ceiling)
{
	uint8_t bytes[PG_FRAME_HDR + PG_FRAME_MAX];
	size_t n = PG_FRAME_HDR + (size_t)f->len;
	if (m->queue.len > ceiling || n > ceiling - m->queue.len)
		return -ENOBUFS;
	pg_frame_encode(f, bytes);
	memcpy(bytes + PG_FRAME_HDR, payload, f->len);
	int rc = pg_byteq_put(&m->queue, bytes, n); /* in one go: a whole frame or none */
	if (rc == 0)
		pg_mux_wake_(m);
	return rc;
}

int pg_mux_control(struct pg_mux *m, const uint8_t *msg, size_t n)
{
	assert(n >= 1 && n <= PG_FRAME_MAX);
	struct pg_frame f = { .type = PG_F_CONTROL, .len = (uint16_t)n };
	return pg_mux_enqueue_(m, &f, msg, PG_OPEN_QUEUE + PG_CONTROL_QUEUE);
}

int pg_mux_open(struct pg_mux *m, const uint8_t *info, size_t n, void *user, struct pg_stream **out)
{
	assert(n >= 1 && n <= PG_FRAME_MAX);
	if (m->next_id > INT32_MAX)
		return -EOVERFLOW;
	if (m->is_ending || m->all.n + m->zombies >= m->config.max_streams)
		return -EMFILE;
	struct pg_stream *s = pg_stream_new(m, m->next_id, true, m->now_us);
	if (!s || pg_table_put(&m->table, s) < 0) {
		free(s);
		return -ENOMEM;
	}
	struct pg_frame f = { .type = PG_F_OPEN, .len = (uint16_t)n, .stream = s->id };
	int rc = pg_mux_enqueue_(m, &f, info, PG_OPEN_QUEUE);
	if (rc < 0) {
		pg_table_drop(&m->table, s);
		free(s);
		return rc == -ENOBUFS ? -EMFILE : rc;
	}
	m->next_id += 2;
	s->user = user;
	pg_sched_join(&m->all, &s->in_all);
	*out = s;
	return 0;
}

void pg_stream_accept(struct pg_stream *s)
{
	assert(!s->is_ours && !s->is_accepted);
	if (s->state == PG_ST_GONE)
		return;
	s->is_accepted = true;
	pg_mux_owe_(s, PG_OWES_ACCEPTED);
}

void pg_stream_readable(struct pg_stream *s)
{
	s->is_readable = true;
	pg_mux_ready_(s);
}

void pg_stream_consumed(struct pg_stream *s, size_t n)
{
	struct pg_mux *m = s->mux;
	if (s->state == PG_ST_GONE)
		return;
	struct pg_round round = pg_mux_round_(m);
	pg_pace_consumed(&m->pace, n, round.us, m->now_us);
	pg_window_consumed(&s->in, m->config.pool, n, round, m->now_us);
	if (pg_window_is_due(&s->in) && pg_stream_receives(s))
		pg_mux_owe_(s, PG_OWES_CREDIT);
	pg_mux_settle_(s);
}

void pg_stream_reset(struct pg_stream *s, enum pg_reset reason)
{
	assert(reason > PG_RESET_ILLEGAL && reason < PG_RESET_COUNT);
	if (s->state == PG_ST_GONE)
		return;
	pg_mux_retire_(s, PG_EV_RESET);
	owe_reset(s, reason);
}

uint32_t pg_stream_id(const struct pg_stream *s)
{
	return s->id;
}

bool pg_stream_is_accepted(const struct pg_stream *s)
{
	return s->is_accepted;
}
