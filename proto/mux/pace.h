#pragma once
#include <stdint.h>

#include "proto/mux/peak.h"

/* How fast a lane can carry: what all its streams together consumed over some round trips, at its
 * best in the last minutes. A stream that begins need not find that out once more. Pure; the time
 * is an argument, microseconds of a clock that never goes back. Zeros are a lane of which nothing
 * is known. */
struct pg_pace {
	uint64_t began_us;   /* when the present measurement did */
	uint64_t bytes;      /* consumed in it */
	struct pg_peak peak; /* of measurements, over minutes */
};

/* Counts `n` consumed bytes; `round_us` is the round trip of the path, 1 at least. */
void pg_pace_consumed(struct pg_pace *p, uint64_t n, uint64_t round_us, uint64_t now_us);

/* Bytes carried in `us` microseconds at the best pace of late; 0 while unknown. */
uint64_t pg_pace_within(const struct pg_pace *p, uint64_t us);
