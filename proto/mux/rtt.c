#include "proto/mux/rtt.h"

#include "proto/mux/limits.h"

/* The lower of two round trips, of which 0 is none. */
static uint64_t lower(uint64_t a, uint64_t b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

void pg_rtt_init(struct pg_rtt *r, uint64_t now_us)
{
	*r = (struct pg_rtt){ .began_us = now_us };
}

uint64_t pg_rtt_least(const struct pg_rtt *r)
{
	return lower(r->older_us, r->newer_us);
}

void pg_rtt_sample(struct pg_rtt *r, uint64_t rtt_us, bool is_quiet, uint64_t now_us)
{
	if (rtt_us == 0)
		rtt_us = 1;
	r->last_us = rtt_us;
	if (now_us - r->began_us >= PG_RTT_MEMORY_MS * 1000ULL) {
		if (r->newer_us != 0)
			r->older_us = r->newer_us;
		r->newer_us = 0;
		r->began_us = now_us;
	}
	uint64_t least = pg_rtt_least(r);
	if (is_quiet || least == 0 || rtt_us < least)
		r->newer_us = lower(r->newer_us, rtt_us);
}
