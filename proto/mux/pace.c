#include "proto/mux/pace.h"

#include <assert.h>

#include "proto/base/num.h"
#include "proto/mux/limits.h"

enum { TRIPS = 4 }; /* of one measurement: so many that a burst is not taken for the pace */

static const uint64_t second_us = 1000000;

static void turn_epoch(struct pg_pace *p, uint64_t now_us)
{
	uint64_t epoch = PG_PACE_MEMORY_MS * 1000ULL;
	uint64_t age = now_us - p->epoch_us;
	if (age < epoch)
		return;
	p->best_before = age < 2 * epoch ? p->best : 0;
	p->best = 0;
	p->epoch_us = now_us;
}

void pg_pace_consumed(struct pg_pace *p, uint64_t n, uint64_t round_us, uint64_t now_us)
{
	assert(round_us > 0);
	uint64_t took = now_us - p->began_us;
	turn_epoch(p, now_us);
	p->bytes += n;
	if (took < TRIPS * round_us)
		return;
	p->best = pg_max(p->best, p->bytes * second_us / took); /* one with a pause is low */
	p->began_us = now_us;
	p->bytes = 0;
}

uint64_t pg_pace_within(const struct pg_pace *p, uint64_t us)
{
	return pg_max(p->best, p->best_before) * us / second_us;
}
