#pragma once
#include <stdbool.h>
#include <stdint.h>

/* The round trip of a lane. What counts is the least one of late, for all beyond it is waiting in
 * queues. Pure: the time is an argument, microseconds.
 *
 * A busy lane measures its own queue: were such a sample ever to replace an older, lower one,
 * credit would grow with it, and the queue with the credit, for ever. So a sample taken under load
 * may lower the least round trip at once but never raise it; quiet samples also raise it, when
 * those lower have grown old (PG_RTT_MEMORY_MS to twice that). */
struct pg_rtt {
	uint64_t last_us;  /* 0: none yet */
	uint64_t older_us; /* least of the period before; 0: none */
	uint64_t newer_us; /* least of this period; 0: none */
	uint64_t began_us; /* when this period did */
};

void pg_rtt_init(struct pg_rtt *r, uint64_t now_us);

/* One more round trip, at least 1 us. `is_quiet`: little else was under way meanwhile. */
void pg_rtt_sample(struct pg_rtt *r, uint64_t rtt_us, bool is_quiet, uint64_t now_us);

/* The least round trip, microseconds; 0 while unknown. */
uint64_t pg_rtt_least(const struct pg_rtt *r);
