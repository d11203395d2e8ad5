#include "proto/mux/peak.h"

#include "proto/base/num.h"

static const uint64_t second_us = 1000000;

void pg_peak_turn(struct pg_peak *p, uint64_t length_us, uint64_t now_us)
{
	uint64_t age = now_us - p->epoch_us;
	if (age < length_us)
		return;
	p->before = age < 2 * length_us ? p->best : 0;
	p->best = 0;
	p->epoch_us = now_us;
}

void pg_peak_add(struct pg_peak *p, uint64_t bytes, uint64_t took_us)
{
	p->best = pg_max(p->best, bytes * second_us / took_us);
}

uint64_t pg_peak_within(const struct pg_peak *p, uint64_t us)
{
	return pg_max(p->best, p->before) * us / second_us;
}
