#include "proto/mux/window.h"

#include <assert.h>
#include <errno.h>

#include "proto/base/num.h"
#include "proto/mux/limits.h"

void pg_window_init(struct pg_window *w, uint64_t now_us)
{
	*w = (struct pg_window){ .size = PG_CREDIT_OWN, .granted = PG_CREDIT_OWN };
	pg_rate_init(&w->rate, w->size, now_us);
}

/* Moves the window towards `target` bytes: up as far as the pool has them, down as far as they
 * are neither granted nor held. */
static void fit(struct pg_window *w, struct pg_pool *pool, size_t target)
{
	size_t busy = w->granted + w->held;
	assert(busy <= w->size && w->size >= PG_CREDIT_OWN && pool->lent <= pool->bytes);
	target = pg_max(target, PG_CREDIT_OWN);
	if (target > w->size) {
		size_t more = pg_min(target - w->size, pool->bytes - pool->lent);
		pool->lent += more;
		w->size += more;
		return;
	}
	size_t less = w->size - pg_max(target, busy);
	pool->lent -= less;
	w->size -= less;
}

void pg_window_fini(struct pg_window *w, struct pg_pool *pool)
{
	w->granted = 0;
	w->held = 0;
	fit(w, pool, 0);
}

int pg_window_arrived(struct pg_window *w, size_t n)
{
	if (n > w->granted)
		return -EPROTO;
	w->granted -= n;
	w->held += n;
	return 0;
}

/* The size that `w` is to have; `is_round`: one of its rate has ended now. */
static size_t wanted(struct pg_window *w, const struct pg_pool *pool, struct pg_round round,
		     bool is_round)
{
	uint64_t want = round.trips * pg_rate_within(&w->rate, round.us);
	if (is_round)
		w->least = 0;
	if (is_round && want > w->size && round.known / 2 > pool->lent)
		w->least = w->size + round.known / 2 - pool->lent;
	return pg_min(pg_max(want, w->least), PG_CREDIT_OWN + pool->bytes / PG_POOL_SHARE);
}

void pg_window_consumed(struct pg_window *w, struct pg_pool *pool, size_t n, struct pg_round round,
			uint64_t now_us)
{
	assert(n <= w->held);
	w->held -= n;
	bool is_round = pg_rate_consumed(&w->rate, n, round.us, now_us);
	fit(w, pool, w->is_ended ? 0 : wanted(w, pool, round, is_round));
	if (is_round)
		pg_rate_next(&w->rate, w->size, now_us);
}

static size_t due(const struct pg_window *w)
{
	return w->is_ended ? 0 : w->size - w->granted - w->held;
}

bool pg_window_is_due(const struct pg_window *w)
{
	return due(w) >= w->size / 4;
}

size_t pg_window_grant(struct pg_window *w)
{
	size_t n = pg_min(due(w), PG_CREDIT_MAX);
	w->granted += n;
	return n;
}

int pg_window_returned(struct pg_window *w, struct pg_pool *pool, size_t n)
{
	if (n > w->granted)
		return -EPROTO;
	w->granted -= n;
	fit(w, pool, w->size - pg_min(n, w->size));
	return 0;
}

void pg_window_ended(struct pg_window *w, struct pg_pool *pool)
{
	w->is_ended = true;
	w->granted = 0;
	fit(w, pool, 0);
}

void pg_allowance_init(struct pg_allowance *a, bool is_early)
{
	*a = (struct pg_allowance){ .left = PG_CREDIT_OWN,
				    .lowest = PG_CREDIT_OWN,
				    .early = is_early ? PG_UNACCEPTED_MAX : SIZE_MAX };
}

void pg_allowance_accepted(struct pg_allowance *a)
{
	a->early = SIZE_MAX;
}

size_t pg_allowance_usable(const struct pg_allowance *a)
{
	return pg_min(a->left, a->early);
}

void pg_allowance_spend(struct pg_allowance *a, size_t n)
{
	assert(n <= pg_allowance_usable(a));
	a->left -= n;
	a->lowest = pg_min(a->lowest, a->left);
	if (a->early != SIZE_MAX)
		a->early -= n;
}

int pg_allowance_granted(struct pg_allowance *a, size_t n)
{
	if (n > PG_CREDIT_MAX - a->left)
		return -EPROTO;
	a->left += n;
	return 0;
}

size_t pg_allowance_spare(struct pg_allowance *a)
{
	size_t spare = a->lowest > 2 * PG_CREDIT_OWN ? a->lowest - PG_CREDIT_OWN : 0;
	a->left -= spare;
	a->lowest = a->left;
	return spare;
}
