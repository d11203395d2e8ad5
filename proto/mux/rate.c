#include "proto/mux/rate.h"

#include <assert.h>

#include "proto/base/num.h"
#include "proto/mux/limits.h"

void pg_rate_init(struct pg_rate *r, uint64_t now_us)
{
	*r = (struct pg_rate){ .quarter_us = now_us, .epoch_us = now_us };
}

/* Makes `now_us` part of the present second, which lasts two round trips at least. */
static void turn_epoch(struct pg_rate *r, uint64_t round_us, uint64_t now_us)
{
	uint64_t epoch = PG_STALL_MS * 1000ULL;
	if (epoch < 2 * round_us)
		epoch = 2 * round_us;
	uint64_t age = now_us - r->epoch_us;
	if (age < epoch)
		return;
	r->peak_before = age < 2 * epoch ? r->peak : 0;
	r->peak = 0;
	r->epoch_us = now_us;
}

/* Takes the measure at the end of a quarter. */
static void measure(struct pg_rate *r, uint64_t round_us, uint64_t now_us)
{
	size_t arrived = 0, consumed = 0;
	for (unsigned i = 0; i < 4; i++) {
		arrived += r->arrived[i];
		consumed += r->consumed[i];
	}
	turn_epoch(r, round_us, now_us);
	r->peak = pg_max(r->peak, pg_min(arrived, consumed));
}

static void advance(struct pg_rate *r, uint64_t round_us, uint64_t now_us)
{
	assert(round_us >= 4);
	uint64_t quarter = round_us / 4;
	if (now_us < r->quarter_us + quarter)
		return;
	/* Quarters without any byte that may have passed since the first one measure less. */
	measure(r, round_us, r->quarter_us + quarter);
	turn_epoch(r, round_us, now_us);
	uint64_t steps = (now_us - r->quarter_us) / quarter;
	r->quarter_us += steps * quarter;
	for (uint64_t i = 0; i < pg_min_u64(steps, 4); i++) {
		r->at = (r->at + 1) % 4;
		r->arrived[r->at] = 0;
		r->consumed[r->at] = 0;
	}
}

void pg_rate_arrived(struct pg_rate *r, size_t n, uint64_t round_us, uint64_t now_us)
{
	advance(r, round_us, now_us);
	r->arrived[r->at] += n;
}

void pg_rate_consumed(struct pg_rate *r, size_t n, uint64_t round_us, uint64_t now_us)
{
	advance(r, round_us, now_us);
	r->consumed[r->at] += n;
}

size_t pg_rate_peak(const struct pg_rate *r)
{
	return pg_max(r->peak, r->peak_before);
}
