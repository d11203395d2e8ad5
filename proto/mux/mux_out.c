/* The sending half of the multiplexer: what waits to slots of bytes. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/num.h"
#include "proto/mux/mux_impl.h"

enum {
	SLOTS_AT_ONCE = 16, /* that one stream is read into by one call */
	/* A stream with much to say goes to the next slot when less is left of this one. */
	WORTH_A_FRAME = 4 << 10,
};

/* Where the next byte goes. Slots before `at` are closed: their iov_len is what is in them. */
struct out {
	struct iovec *slots;
	int count, at;
	size_t used; /* of the slot `at` */
};

static size_t room(const struct out *o)
{
	return o->at < o->count ? o->slots[o->at].iov_len - o->used : 0;
}

static uint8_t *place(const struct out *o)
{
	return (uint8_t *)o->slots[o->at].iov_base + o->used;
}

static void close_slot(struct out *o)
{
	o->slots[o->at++].iov_len = o->used;
	o->used = 0;
}

static void advance(struct out *o, size_t n)
{
	o->used += n;
	if (room(o) == 0)
		close_slot(o);
}

/* Finds room for `n` bytes in one piece. False: all slots are full. */
static bool make_room(struct out *o, size_t n)
{
	if (o->at < o->count && room(o) < n && o->used > 0)
		close_slot(o);
	return room(o) >= n;
}

/* Writes a frame with a payload of up to 8 bytes. False: no room. */
static bool put_frame(struct out *o, enum pg_frame_type type, uint32_t stream,
		      const uint8_t *payload, uint16_t n)
{
	if (!make_room(o, PG_FRAME_HDR + (size_t)n))
		return false;
	uint8_t *p = place(o);
	struct pg_frame f = { .type = type, .len = n, .stream = stream };
	pg_frame_encode(&f, p);
	if (n > 0)
		memcpy(p + PG_FRAME_HDR, payload, n);
	advance(o, PG_FRAME_HDR + (size_t)n);
	return true;
}

static bool put_u32(struct out *o, enum pg_frame_type type, uint32_t stream, size_t value)
{
	uint8_t payload[4];
	assert(value <= UINT32_MAX);
	pg_put_be32(payload, (uint32_t)value);
	return put_frame(o, type, stream, payload, sizeof(payload));
}

/* The queued frames, which may be cut between slots and between pulls. */
static bool put_queue(struct pg_mux *m, struct out *o)
{
	const uint8_t *run;
	size_t n;
	while ((n = pg_byteq_peek(&m->queue, &run)) > 0) {
		n = pg_min(n, room(o));
		if (n == 0)
			return false;
		memcpy(place(o), run, n);
		pg_byteq_drop(&m->queue, n);
		advance(o, n);
	}
	return true;
}

static bool put_pings(struct pg_mux *m, struct out *o)
{
	size_t sent = 0;
	while (sent < m->pongs_n && put_frame(o, PG_F_PONG, 0, m->pongs[sent], sizeof(m->pongs[0])))
		sent++;
	m->pongs_n -= sent;
	memmove(m->pongs[0], m->pongs[sent], m->pongs_n * sizeof(m->pongs[0]));
	if (m->pongs_n > 0)
		return false;
	if (!m->is_ping_due)
		return true;
	uint8_t payload[8];
	pg_put_be64(payload, m->now_us);
	if (!put_frame(o, PG_F_PING, 0, payload, sizeof(payload)))
		return false;
	m->is_ping_due = false;
	m->is_ping_out = true;
	m->ping_sent_us = m->now_us;
	m->ping_moved = m->bytes_in + m->bytes_out;
	return true;
}

/* What `s` owes, in the order of the flags. False: no room. */
static bool put_owed(struct pg_stream *s, struct out *o)
{
	if (s->owed & PG_OWES_RESET) {
		uint8_t reason = (uint8_t)s->reset;
		return put_frame(o, PG_F_RESET, s->id, &reason, 1);
	}
	if (s->owed & PG_OWES_ACCEPTED && !put_frame(o, PG_F_ACCEPTED, s->id, NULL, 0))
		return false;
	s->owed &= ~(unsigned)PG_OWES_ACCEPTED;
	if (s->owed & PG_OWES_CREDIT) {
		if (!make_room(o, PG_FRAME_HDR + 4))
			return false;
		size_t n = pg_window_grant(&s->in);
		if (n > 0)
			put_u32(o, PG_F_CREDIT, s->id, n);
		s->owed &= ~(unsigned)PG_OWES_CREDIT;
	}
	if (s->owed & PG_OWES_RETURN && pg_stream_sends(s)) {
		if (!put_u32(o, PG_F_RETURN, s->id, s->given_back))
			return false;
		s->given_back = 0;
	}
	s->owed = 0;
	return true;
}

static bool put_urgent(struct pg_mux *m, struct out *o)
{
	struct pg_turn *t;
	while ((t = pg_sched_first(&m->urgent)) != NULL) {
		struct pg_stream *s = PG_STREAM_OF(t, in_urgent);
		if (!put_owed(s, o))
			return false;
		pg_sched_leave(&m->urgent, t);
		if (s->state == PG_ST_GONE) {
			m->zombies--;
			free(s);
		}
	}
	return true;
}

/* One place for a payload in each slot that `s` may fill now: the number of places. */
static int offer(const struct pg_stream *s, const struct out *o, struct iovec *iov)
{
	int slots =
		s->mux->ready.n > 1 ? 1 : (int)pg_min((size_t)(o->count - o->at), SLOTS_AT_ONCE);
	size_t left = pg_allowance_usable(&s->out), used = o->used + PG_FRAME_HDR;
	int n = 0;
	for (; n < slots && left > 0; n++) {
		const struct iovec *slot = &o->slots[o->at + n];
		assert(slot->iov_len > used);
		size_t most = pg_min(slot->iov_len - used, PG_FRAME_MAX);
		iov[n].iov_base = (uint8_t *)slot->iov_base + used;
		iov[n].iov_len = pg_min(most, left);
		left -= iov[n].iov_len;
		used = PG_FRAME_HDR;
	}
	return n;
}

/* Puts headers before the `n` bytes that were read into the places of `iov`. */
static void put_data(struct pg_stream *s, struct out *o, const struct iovec *iov, size_t n)
{
	pg_allowance_spend(&s->out, n);
	pg_mux_moves_(s);
	s->mux->bytes_out += n;
	if (pg_allowance_usable(&s->out) == 0)
		pg_sched_leave(&s->mux->ready, &s->in_ready);
	while (n > 0) {
		size_t part = pg_min(n, iov->iov_len);
		struct pg_frame f = { .type = PG_F_DATA, .len = (uint16_t)part, .stream = s->id };
		assert((uint8_t *)iov->iov_base == place(o) + PG_FRAME_HDR);
		pg_frame_encode(&f, place(o));
		n -= part;
		o->used += PG_FRAME_HDR + part;
		if (n > 0 || room(o) == 0)
			close_slot(o); /* the next part was read into the next slot */
		iov++;
	}
}

static void put_eof(struct pg_stream *s, struct out *o)
{
	put_frame(o, PG_F_EOF, s->id, NULL, 0); /* offer() kept room for a header */
	pg_sched_leave(&s->mux->ready, &s->in_ready);
	pg_sched_leave(&s->mux->rich, &s->in_rich);
	pg_stream_step(&s->state, PG_EV_SENT_EOF);
	pg_mux_settle_(s);
}

/* Reads from the first ready stream into the slots. False: no room. */
static bool take_turn(struct pg_mux *m, struct out *o)
{
	struct pg_stream *s = PG_STREAM_OF(pg_sched_first(&m->ready), in_ready);
	struct iovec iov[SLOTS_AT_ONCE];
	size_t usable = pg_allowance_usable(&s->out), asked = 0;
	if (!make_room(o, PG_FRAME_HDR + pg_min(usable, WORTH_A_FRAME)))
		return false;
	int places = offer(s, o, iov);
	for (int i = 0; i < places; i++)
		asked += iov[i].iov_len;
	s->is_readable = false; /* unless it says so again */
	pg_sched_leave(&m->ready, &s->in_ready);
	ssize_t n = m->config.ops->read(s->user, iov, places);
	if (s->state == PG_ST_GONE)
		return true;
	assert(n <= (ssize_t)asked);
	if (n > 0) {
		put_data(s, o, iov, (size_t)n);
		s->is_readable |= n == (ssize_t)asked;
		pg_mux_ready_(s);
	} else if (n == 0) {
		put_eof(s, o);
	} else if (n != -EAGAIN) {
		pg_mux_abort_(s, PG_RESET_PEER, true);
	}
	return true;
}

int pg_mux_pull(struct pg_mux *m, struct iovec *slots, int count, uint64_t now_us)
{
	struct out o = { .slots = slots, .count = count };
	if (m->broken < 0 || count <= 0)
		return 0;
	pg_mux_clock_(m, now_us);
	m->is_awake = true;
	while (put_queue(m, &o) && put_pings(m, &o) && put_urgent(m, &o)) {
		if (m->ready.n == 0) {
			m->is_awake = false;
			break;
		}
		if (!take_turn(m, &o))
			break;
	}
	if (o.used > 0)
		close_slot(&o);
	return o.at;
}
