#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/auto.h"
#include "proto/base/num.h"
#include "proto/mux/limits.h"
#include "proto/mux/mux.h"

/* Two multiplexers, back to back, with an application at each end of each stream. The bytes of a
 * stream follow from its id, the direction and the position, so every byte that arrives is checked
 * on its own. For tests only; included once by each. */

enum { RIG_STREAMS = 64, RIG_WIRE = 16 << 20 };

struct rig;

struct app { /* one end of one stream */
	struct rig_end *end;
	struct pg_stream *s; /* NULL: not open (any more) */
	uint32_t id;
	uint64_t to_send, sent; /* what its socket yields, and has yielded */
	bool finishes;          /* end of file after `to_send` */
	int fails;              /* what `read` fails with after `to_send`; 0: it does not */
	uint64_t arrived, consumed;
	bool eats; /* consumes at once */
	bool sent_eof, got_eof;
	unsigned opened, accepted, gone;
	enum pg_reset reason;
};

struct rig_end {
	struct rig *rig;
	struct rig_end *peer;
	struct pg_mux *m;
	bool odd;
	uint8_t *wire; /* bytes pulled and not yet fed to the peer: wire_n from wire_at on */
	size_t wire_at, wire_n;
	struct app apps[RIG_STREAMS];
	size_t apps_n;
	enum pg_reset refuse; /* answer to OPEN */
	bool eats, accepts;   /* what new incoming streams do at once */
	unsigned wakes, controls;
	size_t control_bytes;
	int control_rc;
	size_t reads; /* calls of `read` */
};

struct rig {
	struct rig_end laptop, agent;
	struct pg_pool pools[2];
	uint64_t now_us;
};

static uint8_t rig_byte(const struct rig_end *sender, uint32_t id, uint64_t at)
{
	uint64_t x = (at >> 3) + ((uint64_t)id << 33) + (sender->odd ? UINT64_C(1) << 63 : 0);
	x *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint8_t)(x >> (at % 8 * 8));
}

/* A place for one more application: a new one, or that of one whose stream is gone. NULL: none. */
static struct app *rig_slot(struct rig_end *e)
{
	if (e->apps_n < RIG_STREAMS)
		return &e->apps[e->apps_n++];
	for (size_t i = 0; i < RIG_STREAMS; i++)
		if (e->apps[i].gone > 0)
			return &e->apps[i];
	return NULL;
}

static enum pg_reset rig_opened(void *ctx, struct pg_stream *s, const uint8_t *info, size_t n,
				void **user_out)
{
	struct rig_end *e = ctx;
	assert_true(n >= 1 && info[0] == 'o');
	if (e->refuse != PG_RESET_ILLEGAL)
		return e->refuse;
	struct app *a = rig_slot(e);
	if (!a)
		return PG_RESET_LIMIT;
	*a = (struct app){ .end = e, .s = s, .id = pg_stream_id(s), .eats = e->eats, .opened = 1 };
	*user_out = a;
	if (e->accepts)
		pg_stream_accept(s);
	return PG_RESET_ILLEGAL;
}

static void rig_accepted(void *user)
{
	struct app *a = user;
	assert_true(pg_stream_is_accepted(a->s));
	assert_int_equal(a->accepted++, 0);
}

static void rig_consume(struct app *a, uint64_t n)
{
	assert_true(n <= a->arrived - a->consumed);
	a->consumed += n;
	if (a->s)
		pg_stream_consumed(a->s, (size_t)n);
}

static void rig_data(void *user, const uint8_t *p, size_t n)
{
	struct app *a = user;
	assert_int_equal(a->gone, 0);
	assert_false(a->got_eof);
	for (size_t i = 0; i < n; i++)
		if (p[i] != rig_byte(a->end->peer, a->id, a->arrived + i))
			fail_msg("stream %u: byte %zu is wrong", a->id, (size_t)a->arrived + i);
	a->arrived += n;
	if (a->eats)
		rig_consume(a, n);
}

static void rig_eof(void *user)
{
	struct app *a = user;
	assert_false(a->got_eof);
	a->got_eof = true;
}

static void rig_gone(void *user, enum pg_reset reason)
{
	struct app *a = user;
	assert_int_equal(a->gone++, 0);
	a->reason = reason;
	if (reason == PG_RESET_ILLEGAL) {
		assert_true(a->got_eof && a->sent_eof);
		assert_int_equal(a->arrived, a->consumed);
	}
	a->s = NULL;
}

static ssize_t rig_read(void *user, const struct iovec *iov, int count)
{
	struct app *a = user;
	size_t done = 0;
	a->end->reads++;
	assert_false(a->sent_eof);
	for (int i = 0; i < count && a->sent < a->to_send; i++) {
		size_t n = (size_t)pg_min_u64(iov[i].iov_len, a->to_send - a->sent);
		for (size_t k = 0; k < n; k++)
			((uint8_t *)iov[i].iov_base)[k] = rig_byte(a->end, a->id, a->sent + k);
		a->sent += n;
		done += n;
	}
	if (done > 0) {
		if (a->sent < a->to_send || a->finishes || a->fails < 0)
			pg_stream_readable(a->s); /* as a poll would tell */
		return (ssize_t)done;
	}
	if (a->fails < 0)
		return a->fails;
	if (!a->finishes)
		return -EAGAIN;
	a->sent_eof = true;
	return 0;
}

static int rig_control(void *ctx, const uint8_t *msg, size_t n)
{
	struct rig_end *e = ctx;
	assert_true(n >= 1 && msg[0] == 'c');
	e->controls++;
	e->control_bytes += n;
	return e->control_rc;
}

static void rig_wake(void *ctx)
{
	((struct rig_end *)ctx)->wakes++;
}

static const struct pg_mux_ops rig_ops = { rig_opened, rig_accepted, rig_data,    rig_eof,
					   rig_gone,   rig_read,     rig_control, rig_wake };

static PG_UNUSED struct rig *rig_new(size_t max_streams)
{
	struct rig *r = calloc(1, sizeof(*r));
	assert_non_null(r);
	r->pools[0].bytes = PG_POOL_LAPTOP;
	r->pools[1].bytes = PG_POOL_AGENT;
	for (int i = 0; i < 2; i++) {
		struct rig_end *e = i ? &r->agent : &r->laptop;
		*e = (struct rig_end){ .rig = r, .odd = i == 0, .eats = true, .accepts = true };
		e->peer = i ? &r->laptop : &r->agent;
		e->wire = malloc(RIG_WIRE);
		assert_non_null(e->wire);
		struct pg_mux_config c = { .odd = e->odd,
					   .pool = &r->pools[i],
					   .max_streams = max_streams,
					   .ops = &rig_ops,
					   .ctx = e };
		e->m = pg_mux_new(&c, r->now_us);
	}
	return r;
}

static PG_UNUSED void rig_free(struct rig *r)
{
	pg_mux_free(r->laptop.m);
	pg_mux_free(r->agent.m);
	free(r->laptop.wire);
	free(r->agent.wire);
	free(r);
}

/* Opens a stream with an application at this end; NULL: refused by the multiplexer. */
static PG_UNUSED struct app *rig_open(struct rig_end *e)
{
	struct app *a = rig_slot(e);
	if (!a)
		return NULL;
	*a = (struct app){ .end = e, .eats = e->eats, .opened = 1 };
	if (pg_mux_open(e->m, (const uint8_t *)"open", 4, a, &a->s) < 0) {
		a->gone = 1;
		return NULL;
	}
	a->id = pg_stream_id(a->s);
	return a;
}

/* The application at the other end of `a`'s stream; NULL: none yet. */
static PG_UNUSED struct app *rig_other(const struct app *a)
{
	struct rig_end *p = a->end->peer;
	for (size_t i = 0; i < p->apps_n; i++)
		if (p->apps[i].id == a->id)
			return &p->apps[i];
	return NULL;
}

static PG_UNUSED void rig_send(struct app *a, uint64_t n, bool finish)
{
	a->to_send += n;
	a->finishes = a->finishes || finish;
	if (a->s)
		pg_stream_readable(a->s);
}

static PG_UNUSED void rig_reset(struct app *a, enum pg_reset reason)
{
	struct pg_stream *s = a->s;
	a->s = NULL;
	a->gone++; /* as far as the application is concerned */
	a->reason = reason;
	pg_stream_reset(s, reason);
}

/* Pulls up to `count` slots onto the wire: bytes added. */
static PG_UNUSED size_t rig_pull(struct rig_end *e, int count)
{
	static uint8_t bytes[16][PG_FRAME_SLOT];
	struct iovec slots[16];
	size_t before = e->wire_n;
	assert_true(count <= 16);
	if (e->wire_at > RIG_WIRE / 2) {
		memmove(e->wire, e->wire + e->wire_at, e->wire_n);
		e->wire_at = 0;
	}
	for (int i = 0; i < count; i++)
		slots[i] = (struct iovec){ bytes[i], sizeof(bytes[i]) };
	int used = pg_mux_pull(e->m, slots, count, e->rig->now_us);
	assert_true(used >= 0 && used <= count);
	for (int i = 0; i < used; i++) {
		assert_true(slots[i].iov_len > 0 && slots[i].iov_len <= sizeof(bytes[i]));
		assert_true(e->wire_at + e->wire_n + slots[i].iov_len <= RIG_WIRE);
		memcpy(e->wire + e->wire_at + e->wire_n, bytes[i], slots[i].iov_len);
		e->wire_n += slots[i].iov_len;
	}
	return e->wire_n - before;
}

/* Feeds up to `n` bytes of e's wire to its peer: what pg_mux_feed() said. */
static PG_UNUSED int rig_deliver(struct rig_end *e, size_t n)
{
	n = pg_min(n, e->wire_n);
	int rc = pg_mux_feed(e->peer->m, e->wire + e->wire_at, n, e->rig->now_us);
	e->wire_at += n;
	e->wire_n -= n;
	return rc;
}

static PG_UNUSED void rig_tick(struct rig *r, uint64_t us)
{
	r->now_us += us;
	pg_mux_tick(r->laptop.m, r->now_us);
	pg_mux_tick(r->agent.m, r->now_us);
}

/* Moves everything both ways until nothing is left to move. */
static PG_UNUSED void rig_settle(struct rig *r)
{
	size_t moved;
	do {
		rig_pull(&r->laptop, 8);
		rig_pull(&r->agent, 8);
		moved = r->laptop.wire_n + r->agent.wire_n;
		assert_int_equal(rig_deliver(&r->laptop, SIZE_MAX), 0);
		assert_int_equal(rig_deliver(&r->agent, SIZE_MAX), 0);
	} while (moved > 0);
}
