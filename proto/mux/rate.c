#include "proto/mux/rate.h"

#include <assert.h>

#include "proto/base/num.h"
#include "proto/mux/limits.h"

void pg_rate_init(struct pg_rate *r, size_t window, uint64_t now_us)
{
	*r = (struct pg_rate){ .peak.epoch_us = now_us };
	pg_rate_next(r, window, now_us);
}

void pg_rate_next(struct pg_rate *r, size_t window, uint64_t now_us)
{
	r->began_us = now_us;
	r->bytes = 0;
	r->window = window;
}

bool pg_rate_consumed(struct pg_rate *r, size_t n, uint64_t least_us, uint64_t now_us)
{
	assert(least_us > 0);
	uint64_t took = pg_max(now_us - r->began_us, least_us);
	r->bytes += n;
	/* A second, and longer where a round trip nearly is. */
	uint64_t second = pg_max(PG_STALL_MS * 1000ULL, 2 * least_us);
	pg_peak_turn(&r->peak, second, now_us);
	/* A round that lasts is a slow one, or had a pause in it: it ends here. */
	if (r->bytes < r->window && took < second)
		return false;
	pg_peak_add(&r->peak, r->bytes, took);
	return true;
}

uint64_t pg_rate_within(const struct pg_rate *r, uint64_t us)
{
	return pg_peak_within(&r->peak, us);
}
