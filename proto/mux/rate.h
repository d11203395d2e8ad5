#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/mux/peak.h"

/* How fast a consumer takes what arrives: measured over rounds, each as long as it takes to consume
 * one whole window. That is one turn of the window around path and queues, however long it is, so
 * the bursts in which streams share a path do not look like a faster path. What counts is the best
 * round of the last one to two seconds. Pure; the time is an argument, microseconds of a clock that
 * never goes back. */
struct pg_rate {
	uint64_t began_us;   /* when the present round did */
	size_t bytes;        /* consumed in it */
	size_t window;       /* its end: when so much is */
	struct pg_peak peak; /* of rounds, over seconds */
};

/* `window`: of the first round, bytes. */
void pg_rate_init(struct pg_rate *r, size_t window, uint64_t now_us);

/* Counts `n` consumed bytes. No round is taken to be shorter than `least_us` (1 at least), the
 * round trip of the path. True: a round has ended, pg_rate_next() is to be called. */
bool pg_rate_consumed(struct pg_rate *r, size_t n, uint64_t least_us, uint64_t now_us);

/* Begins the next round, with that window. */
void pg_rate_next(struct pg_rate *r, size_t window, uint64_t now_us);

/* Bytes consumed in `us` microseconds at the best rate of late. */
uint64_t pg_rate_within(const struct pg_rate *r, uint64_t us);
