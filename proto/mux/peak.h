#pragma once
#include <stdint.h>

/* The best of what was measured in the last one to two epochs, bytes per second. Pure; the time is
 * an argument, microseconds of a clock that never goes back. Zeros are one that knows nothing. */
struct pg_peak {
	uint64_t epoch_us; /* when the present epoch began */
	uint64_t best;     /* in it */
	uint64_t before;   /* in the one before */
};

/* Makes `now_us` part of the present epoch, each `length_us` long. */
void pg_peak_turn(struct pg_peak *p, uint64_t length_us, uint64_t now_us);

/* Adds a measurement to the present epoch: `bytes` in `took_us`, 1 at least. */
void pg_peak_add(struct pg_peak *p, uint64_t bytes, uint64_t took_us);

/* Bytes in `us` microseconds at the best of them; 0 while there is none. */
uint64_t pg_peak_within(const struct pg_peak *p, uint64_t us);
