#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/num.h"
#include "proto/mux/mux_impl.h"

/* A hostile peer, and an owner that does something else each time it is called. The first byte of
 * the input seeds the owner, the second says how the rest is cut into calls of feed. */

struct owner {
	struct pg_mux *m;
	uint32_t random;
	size_t streams, gone;
};

struct user {
	struct owner *o;
	struct pg_stream *s;
	size_t held, to_send;
	unsigned sum;
};

static uint32_t pick(struct owner *o, uint32_t n)
{
	o->random = o->random * 1664525 + 1013904223; /* Numerical Recipes */
	return (o->random >> 16) % n;
}

static struct user *new_user(struct owner *o)
{
	struct user *u = calloc(1, sizeof(*u));
	if (!u)
		abort();
	u->o = o;
	o->streams++;
	return u;
}

/* Anything that an owner may do to its stream, at any time. True: `u` is dead. */
static bool meddle(struct user *u)
{
	struct owner *o = u->o;
	size_t n = u->held;
	switch (pick(o, 8)) {
	case 0:
		if (!u->s->is_ours && !u->s->is_accepted)
			pg_stream_accept(u->s);
		return false;
	case 1:
		u->to_send += pick(o, 100000);
		pg_stream_readable(u->s);
		return false;
	case 2:
		if (pick(o, 8) != 0)
			return false;
		o->gone++;
		pg_stream_reset(u->s, PG_RESET_REFUSED);
		free(u);
		return true;
	case 3:
		if (n == 0)
			return false;
		n = pick(o, (uint32_t)n);
		u->held -= n;
		pg_stream_consumed(u->s, n); /* not all: the stream cannot be gone by it */
		return false;
	default:
		return false;
	}
}

static enum pg_reset opened(void *ctx, struct pg_stream *s, const uint8_t *info, size_t n,
			    void **user_out)
{
	struct owner *o = ctx;
	if (n > 1 && info[n - 1] % 4 == 0)
		return PG_RESET_UNKNOWN;
	struct user *u = new_user(o);
	u->s = s;
	*user_out = u;
	return PG_RESET_ILLEGAL;
}

static void accepted(void *user)
{
	meddle(user);
}

static void arrived(void *user, const uint8_t *p, size_t n)
{
	struct user *u = user;
	for (size_t i = 0; i < n; i++) /* every byte is there */
		u->sum += p[i];
	u->held += n;
	meddle(u);
}

static void ended(void *user)
{
	struct user *u = user;
	size_t n = u->held;
	if (meddle(u) || u->held != n)
		return;
	u->held = 0;
	pg_stream_consumed(u->s, n); /* `u` may be dead */
}

static void gone(void *user, enum pg_reset reason)
{
	struct user *u = user;
	assert(reason != PG_RESET_ILLEGAL || u->held == 0);
	u->o->gone++;
	free(u);
}

static ssize_t yields(void *user, const struct iovec *iov, int count)
{
	struct user *u = user;
	ssize_t done = 0;
	if (pick(u->o, 20) == 0)
		return pick(u->o, 2) ? -ECONNRESET : 0;
	for (int i = 0; i < count && u->to_send > 0; i++) {
		size_t n = pg_min(iov[i].iov_len, u->to_send);
		memset(iov[i].iov_base, 'd', n);
		u->to_send -= n;
		done += (ssize_t)n;
	}
	return done > 0 ? done : -EAGAIN;
}

static int control(void *ctx, const uint8_t *msg, size_t n)
{
	struct owner *o = ctx;
	pg_mux_control(o->m, msg, n); /* an echo: the most that a peer can make an owner queue */
	return msg[0] == 0xff ? -EPROTO : 0;
}

static void wake(void *ctx)
{
	(void)ctx;
}

static const struct pg_mux_ops ops = {
	opened, accepted, arrived, ended, gone, yields, control, wake
};

static void open_one(struct owner *o)
{
	struct user *u = new_user(o);
	if (pg_mux_open(o->m, (const uint8_t *)"o", 1, u, &u->s) == 0)
		return;
	o->streams--;
	free(u);
}

/* What leaves must be frames. */
static void pull(struct owner *o, uint64_t now)
{
	static uint8_t bytes[4][PG_FRAME_SLOT];
	struct iovec slots[4];
	for (int i = 0; i < 4; i++)
		slots[i] = (struct iovec){ bytes[i], sizeof(bytes[i]) };
	int used = pg_mux_pull(o->m, slots, 4, now);
	assert(used >= 0 && used <= 4);
	for (int i = 0; i < used; i++)
		assert(slots[i].iov_len > 0 && slots[i].iov_len <= sizeof(bytes[i]));
}

static void check(const struct pg_mux *m)
{
	size_t lent = 0;
	for (struct pg_turn *t = pg_sched_first(&m->all); t; t = pg_sched_next(&m->all, t)) {
		const struct pg_window *w = &PG_STREAM_OF(t, in_all)->in;
		assert(w->granted + w->held <= w->size);
		lent += w->size - PG_CREDIT_OWN;
	}
	assert(lent == m->config.pool->lent && lent <= m->config.pool->bytes);
	assert(m->queue.len <= m->queue.cap && m->all.n + m->zombies <= m->config.max_streams);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct owner o = { .random = data[0] };
	struct pg_pool pool = { .bytes = 1 << 20 };
	const struct pg_mux_config config = {
		.odd = true, .pool = &pool, .max_streams = 8, .ops = &ops, .ctx = &o
	};
	uint64_t now = 0;
	size_t cut = data[1];
	o.m = pg_mux_new(&config, now);
	if (!o.m)
		return 0;
	open_one(&o);
	open_one(&o);
	pull(&o, now);
	data += 2;
	size -= 2;
	while (size > 0) {
		size_t n = cut == 0 ? size : pg_min(size, 1 + pick(&o, (uint32_t)cut));
		if (pg_mux_feed(o.m, data, n, now) < 0) {
			assert(strlen(pg_mux_fault(o.m)) > 0);
			break;
		}
		data += n;
		size -= n;
		now += pick(&o, 3) * 300000;
		check(o.m);
		if (pick(&o, 4) != 0)
			pull(&o, now);
		pg_mux_tick(o.m, now);
		if (pick(&o, 16) == 0)
			open_one(&o);
		struct pg_turn *t = pg_sched_first(&o.m->all);
		if (t)
			meddle(PG_STREAM_OF(t, in_all)->user);
	}
	pg_mux_free(o.m);
	assert(o.streams == o.gone);
	return 0;
}
