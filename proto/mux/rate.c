#include "proto/mux/rate.h"

#include <assert.h>

#include "proto/base/num.h"
#include "proto/mux/limits.h"

static const uint64_t second_us = 1000000;

void pg_rate_init(struct pg_rate *r, size_t window, uint64_t now_us)
{
	*r = (struct pg_rate){ .epoch_us = now_us };
	pg_rate_next(r, window, now_us);
}

void pg_rate_next(struct pg_rate *r, size_t window, uint64_t now_us)
{
	r->began_us = now_us;
	r->bytes = 0;
	r->window = window;
}

/* Makes `now_us` part of the present second (which is longer where a round trip nearly is). */
static void turn_epoch(struct pg_rate *r, uint64_t least_us, uint64_t now_us)
{
	uint64_t epoch = pg_max(PG_STALL_MS * 1000ULL, 2 * least_us);
	uint64_t age = now_us - r->epoch_us;
	if (age < epoch)
		return;
	r->peak_before = age < 2 * epoch ? r->peak : 0;
	r->peak = 0;
	r->epoch_us = now_us;
}

bool pg_rate_consumed(struct pg_rate *r, size_t n, uint64_t least_us, uint64_t now_us)
{
	assert(least_us > 0);
	uint64_t took = pg_max(now_us - r->began_us, least_us);
	r->bytes += n;
	turn_epoch(r, least_us, now_us);
	/* A round that lasts is a slow one, or had a pause in it: it ends here. */
	if (r->bytes < r->window && took < pg_max(PG_STALL_MS * 1000ULL, 2 * least_us))
		return false;
	r->peak = pg_max(r->peak, r->bytes * second_us / took);
	return true;
}

uint64_t pg_rate_within(const struct pg_rate *r, uint64_t us)
{
	return pg_max(r->peak, r->peak_before) * us / second_us;
}
