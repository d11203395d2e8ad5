#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "e2e/peers/util.h"

/* What every client command gets: where to go, and its options, all parsed. */
struct call {
	struct address to;
	const char *host, *port, *path;
	uint64_t bytes, count, conns, rate, seconds, size, seed, timeout_ms;
	bool abort, no_verify, brief;
};

/* Each prints one JSON object and returns an exit status: 0 when all went as it should. */
int client_get(const struct call *call);
int client_load(const struct call *call);
int client_bulk_down(const struct call *call);
int client_bulk_up(const struct call *call);
int client_idle(const struct call *call);
int client_trickle(const struct call *call);
int client_latency(const struct call *call);
int client_rate(const struct call *call);
int client_onebyte(const struct call *call);
int client_reset(const struct call *call);
int client_halfclose(const struct call *call);
int client_shutfirst(const struct call *call);
int client_udp(const struct call *call);

/* Becomes true on INT or TERM: clients stop early and still print what they saw. */
extern volatile bool client_stop;

/* Sorts `n` samples and prints "NAME":{"p50":..,"p90":..,"p99":..,"max":..}. */
void print_percentiles(const char *name, uint64_t *samples, size_t n);
