#pragma once
#include <stddef.h>
#include <stdint.h>

/* How much a consumer takes in one round trip: what arrived and was consumed within the last four
 * quarters of it, whichever is less (a backlog that is eaten up in one go is no faster path, and
 * what arrives but waits is no fast consumer), and the most of that within the last one to two
 * seconds. Pure; the time is an argument, microseconds of a clock that never goes back. */
struct pg_rate {
	uint64_t quarter_us; /* when the present quarter began */
	uint64_t epoch_us;   /* when the present second did */
	size_t arrived[4], consumed[4];
	size_t peak, peak_before; /* of the present second, and of the one before */
	unsigned at;              /* the present quarter, 0 to 3 */
};

void pg_rate_init(struct pg_rate *r, uint64_t now_us);

/* Counts `n` bytes. `round_us`: the round trip to measure by, 4 us at least. */
void pg_rate_arrived(struct pg_rate *r, size_t n, uint64_t round_us, uint64_t now_us);
void pg_rate_consumed(struct pg_rate *r, size_t n, uint64_t round_us, uint64_t now_us);

/* Bytes per round trip, the most of late. */
size_t pg_rate_peak(const struct pg_rate *r);
