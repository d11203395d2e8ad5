#include "proto/mux/pace.h"

#include <assert.h>

#include "proto/mux/limits.h"

enum { TRIPS = 4 }; /* of one measurement: so many that a burst is not taken for the pace */

void pg_pace_consumed(struct pg_pace *p, uint64_t n, uint64_t round_us, uint64_t now_us)
{
	assert(round_us > 0);
	uint64_t took = now_us - p->began_us;
	pg_peak_turn(&p->peak, PG_PACE_MEMORY_MS * 1000ULL, now_us);
	p->bytes += n;
	if (took < TRIPS * round_us)
		return;
	pg_peak_add(&p->peak, p->bytes, took); /* one with a pause is low */
	p->began_us = now_us;
	p->bytes = 0;
}

uint64_t pg_pace_within(const struct pg_pace *p, uint64_t us)
{
	return pg_peak_within(&p->peak, us);
}
