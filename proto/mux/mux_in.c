/* The receiving half of the multiplexer: bytes to frames to events. Whatever arrives may be
 * hostile: every rule of docs/protocol.md that a peer can break is checked here, and in the window.
 *
 * Callbacks may end any stream, also the one that they are called for: after each, nothing here
 * touches a stream that was not looked up again. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/num.h"
#include "proto/mux/mux_impl.h"
#include "proto/wire/cursor.h"

static const char *const type_names[] = {
	[PG_F_ILLEGAL] = "illegal frame", [PG_F_OPEN] = "OPEN",     [PG_F_DATA] = "DATA",
	[PG_F_CREDIT] = "CREDIT",         [PG_F_EOF] = "EOF",       [PG_F_RESET] = "RESET",
	[PG_F_ACCEPTED] = "ACCEPTED",     [PG_F_PING] = "PING",     [PG_F_PONG] = "PONG",
	[PG_F_CONTROL] = "CONTROL",       [PG_F_RETURN] = "RETURN",
};
static_assert(PG_LEN(type_names) == PG_F_COUNT, "one name per type");

/* The lane ends with `code`; the first fault is the one that is told. */
static int PG_PRINTF(3, 4) fault(struct pg_mux *m, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(m->fault, sizeof(m->fault), fmt, ap);
	va_end(ap);
	return code;
}

/* The fault of the frame that is arriving: "DATA on stream 7: ...". */
static int bad_frame(struct pg_mux *m, const char *why)
{
	return fault(m, -EPROTO, "%s on stream %u: %s", type_names[m->frame.type],
		     (unsigned)m->frame.stream, why);
}

static bool is_ours(const struct pg_mux *m, uint32_t id)
{
	return (id % 2 == 1) == m->config.odd;
}

/* Ids only grow on each side, so one not over the latest was in use once: what arrives late for
 * it, because we reset the stream or both halves have ended, is no fault. */
static bool was_opened(const struct pg_mux *m, uint32_t id)
{
	return is_ours(m, id) ? id < m->next_id : id <= m->last_peer_id;
}

/* The stream of the arriving frame; NULL with *rc 0 when it is gone, or with *rc negative. */
static struct pg_stream *addressed(struct pg_mux *m, int *rc)
{
	struct pg_stream *s = pg_table_get(&m->table, m->frame.stream);
	*rc = 0;
	if (!s && !was_opened(m, m->frame.stream))
		*rc = bad_frame(m, "it was never opened");
	return s;
}

/* Says no to the OPEN that has just arrived. */
static int refuse(struct pg_mux *m, enum pg_reset reason)
{
	uint8_t payload = (uint8_t)reason;
	struct pg_frame f = { .type = PG_F_RESET, .len = 1, .stream = m->frame.stream };
	int rc = pg_mux_enqueue_(m, &f, &payload, m->queue.cap);
	if (rc == -ENOBUFS)
		return bad_frame(m, "too many beyond the limit");
	return rc < 0 ? fault(m, rc, "out of memory") : 0;
}

static int on_open(struct pg_mux *m)
{
	uint32_t id = m->frame.stream;
	if (is_ours(m, id))
		return bad_frame(m, "the id is not its sender's to choose");
	if (id <= m->last_peer_id)
		return bad_frame(m, "ids must grow");
	m->last_peer_id = id;
	if (m->all.n + m->zombies >= m->config.max_streams)
		return refuse(m, PG_RESET_LIMIT);
	struct pg_stream *s = pg_stream_new(m, id, false, m->now_us);
	if (!s || pg_table_put(&m->table, s) < 0) {
		free(s);
		return refuse(m, PG_RESET_LIMIT);
	}
	pg_sched_join(&m->all, &s->in_all);
	enum pg_reset no =
		m->config.ops->opened(m->config.ctx, s, m->payload, m->frame.len, &s->user);
	if (no == PG_RESET_ILLEGAL || pg_table_get(&m->table, id) != s)
		return 0; /* accepted, or reset by the callback itself */
	pg_mux_retire_(s, PG_EV_RESET);
	pg_mux_bury_(s);
	return refuse(m, no);
}

/* The header of a DATA frame: is all of it allowed? */
static int on_data_header(struct pg_mux *m)
{
	int rc;
	struct pg_stream *s = addressed(m, &rc);
	if (!s)
		return rc;
	if (!pg_stream_receives(s))
		return bad_frame(m, "after EOF");
	if (m->frame.len > s->in.granted)
		return bad_frame(m, "more than was granted");
	if (s->is_ours || s->is_accepted)
		return 0;
	s->arrived += m->frame.len;
	return s->arrived > PG_UNACCEPTED_MAX ? bad_frame(m, "too much before ACCEPTED") : 0;
}

static int on_data_piece(struct pg_mux *m, const uint8_t *p, size_t n)
{
	m->bytes_in += n;
	struct pg_stream *s = pg_table_get(&m->table, m->frame.stream);
	if (!s)
		return 0;
	int rc = pg_window_arrived(&s->in, n);
	assert(rc == 0); /* the header was checked, and a grant only grows meanwhile */
	(void)rc;
	pg_mux_moves_(s);
	m->config.ops->data(s->user, p, n);
	return 0;
}

static int on_credit(struct pg_mux *m, size_t n)
{
	int rc;
	struct pg_stream *s = addressed(m, &rc);
	if (rc < 0)
		return rc;
	if (n == 0 || n > PG_CREDIT_MAX)
		return bad_frame(m, "no legal amount");
	if (!s)
		return 0;
	if (pg_allowance_granted(&s->out, n) < 0)
		return bad_frame(m, "the sum is too large");
	if (!pg_stream_sends(s))
		return 0;
	if (s->out.left > PG_CREDIT_OWN)
		pg_sched_join(&m->rich, &s->in_rich);
	pg_mux_ready_(s);
	return 0;
}

static int on_return(struct pg_mux *m, size_t n)
{
	int rc;
	struct pg_stream *s = addressed(m, &rc);
	if (rc < 0)
		return rc;
	if (n == 0 || n > PG_CREDIT_MAX)
		return bad_frame(m, "no legal amount");
	if (!s)
		return 0;
	if (!pg_stream_receives(s))
		return bad_frame(m, "after EOF");
	if (pg_window_returned(&s->in, m->config.pool, n) < 0)
		return bad_frame(m, "more than was granted");
	return 0;
}

static int on_eof(struct pg_mux *m)
{
	int rc;
	struct pg_stream *s = addressed(m, &rc);
	if (!s)
		return rc;
	if (pg_stream_step(&s->state, PG_EV_GOT_EOF) < 0)
		return bad_frame(m, "after EOF");
	pg_window_ended(&s->in, m->config.pool);
	m->config.ops->eof(s->user);
	s = pg_table_get(&m->table, m->frame.stream);
	if (s)
		pg_mux_settle_(s);
	return 0;
}

static int on_reset(struct pg_mux *m, unsigned reason)
{
	int rc;
	struct pg_stream *s = addressed(m, &rc);
	if (rc < 0)
		return rc;
	if (reason <= PG_RESET_ILLEGAL || reason >= PG_RESET_COUNT)
		return bad_frame(m, "no legal reason");
	if (s)
		pg_mux_abort_(s, (enum pg_reset)reason, false);
	return 0;
}

static int on_accepted(struct pg_mux *m)
{
	if (!is_ours(m, m->frame.stream))
		return bad_frame(m, "its sender opened it");
	int rc;
	struct pg_stream *s = addressed(m, &rc);
	if (!s)
		return rc;
	if (s->is_accepted)
		return bad_frame(m, "for the second time");
	s->is_accepted = true;
	pg_allowance_accepted(&s->out);
	pg_mux_ready_(s);
	m->config.ops->accepted(s->user);
	return 0;
}

static int on_ping(struct pg_mux *m)
{
	if (m->pongs_n == PG_PONG_QUEUE)
		return fault(m, -EPROTO, "more than %d PINGs at once", PG_PONG_QUEUE);
	memcpy(m->pongs[m->pongs_n++], m->payload, sizeof(m->pongs[0]));
	pg_mux_wake_(m);
	return 0;
}

static int on_pong(struct pg_mux *m, uint64_t echo)
{
	if (!m->is_ping_out || echo != m->ping_sent_us)
		return fault(m, -EPROTO, "PONG without its PING");
	m->is_ping_out = false;
	bool is_quiet = m->bytes_in + m->bytes_out - m->ping_moved <= PG_QUIET_BYTES;
	pg_rtt_sample(&m->rtt, m->now_us - m->ping_sent_us, is_quiet, m->now_us);
	return 0;
}

static int on_control(struct pg_mux *m)
{
	int rc = m->config.ops->control(m->config.ctx, m->payload, m->frame.len);
	return rc < 0 ? fault(m, rc, "a control message is malformed") : 0;
}

/* A frame other than DATA is complete. */
static int dispatch(struct pg_mux *m)
{
	struct pg_cursor c = pg_cursor(m->payload, m->frame.len);
	switch (m->frame.type) {
	case PG_F_OPEN:
		return on_open(m);
	case PG_F_CREDIT:
		return on_credit(m, pg_cursor_be32(&c));
	case PG_F_RETURN:
		return on_return(m, pg_cursor_be32(&c));
	case PG_F_EOF:
		return on_eof(m);
	case PG_F_RESET:
		return on_reset(m, pg_cursor_u8(&c));
	case PG_F_ACCEPTED:
		return on_accepted(m);
	case PG_F_PING:
		return on_ping(m);
	case PG_F_PONG:
		return on_pong(m, pg_cursor_be64(&c));
	case PG_F_CONTROL:
		return on_control(m);
	case PG_F_DATA:
		return 0;
	case PG_F_ILLEGAL:
	case PG_F_COUNT:
		break;
	}
	abort(); /* pg_frame_decode() lets no other through */
}

/* Takes header bytes; the bytes used, or a negative errno. */
static ssize_t take_header(struct pg_mux *m, const uint8_t *p, size_t n)
{
	size_t part = pg_min(n, PG_FRAME_HDR - m->header_n);
	memcpy(m->header + m->header_n, p, part);
	m->header_n += part;
	if (m->header_n < PG_FRAME_HDR)
		return (ssize_t)part;
	int rc = pg_frame_decode(m->header, PG_FRAME_HDR, &m->frame);
	if (rc < 0)
		return fault(m, rc, "no legal frame: type %u, flags %u, length %u, stream %u",
			     m->header[0], m->header[1], pg_get_be16(m->header + 2),
			     (unsigned)pg_get_be32(m->header + 4));
	m->payload_n = 0;
	rc = m->frame.type == PG_F_DATA ? on_data_header(m) : 0;
	return rc < 0 ? rc : (ssize_t)part;
}

/* Takes payload bytes: DATA goes on at once, all else is put together. The bytes used, or a
 * negative errno. */
static ssize_t take_payload(struct pg_mux *m, const uint8_t *p, size_t n)
{
	size_t part = pg_min(n, m->frame.len - m->payload_n);
	int rc = 0;
	if (m->frame.type != PG_F_DATA)
		memcpy(m->payload + m->payload_n, p, part);
	m->payload_n += part;
	if (m->frame.type == PG_F_DATA)
		rc = on_data_piece(m, p, part);
	return rc < 0 ? rc : (ssize_t)part;
}

int pg_mux_feed(struct pg_mux *m, const uint8_t *p, size_t n, uint64_t now_us)
{
	if (m->broken < 0)
		return m->broken;
	pg_mux_clock_(m, now_us);
	if (n > 0)
		pg_mux_heard_(m, n);
	while (n > 0) {
		ssize_t used =
			m->header_n < PG_FRAME_HDR ? take_header(m, p, n) : take_payload(m, p, n);
		if (used >= 0 && m->header_n == PG_FRAME_HDR && m->payload_n == m->frame.len) {
			m->header_n = 0;
			int rc = dispatch(m);
			used = rc < 0 ? rc : used;
		}
		if (used < 0)
			return m->broken = (int)used;
		p += used;
		n -= (size_t)used;
	}
	return 0;
}
