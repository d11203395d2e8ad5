#include "injector/load.h"

#include "proto/mux/limits.h"

enum {
	LOOKS = 2,            /* so long it must last */
	BUSY_BYTES = 1 << 20, /* in a look, on each lane: 4 MiB a second */
	/* On a long way lanes share what limits the one: the path. Each would have to find its
	 * share of it, with loss and with every pause anew. Until so much passes that it can only
	 * be the processors: 64 MiB a second. */
	FAR_BYTES = 16 << 20,
	FAR_US = 10000,
};

bool pg_load_wants_lane(struct pg_load *l, const struct pg_load_look *look, uint64_t now_ms)
{
	uint64_t busy = look->rtt_us >= FAR_US ? FAR_BYTES : BUSY_BYTES;
	bool is_busy = look->lively > look->lanes && look->bytes >= busy * look->lanes;
	l->busy = is_busy ? l->busy + 1 : 0;
	if (l->busy < LOOKS || look->lanes >= PG_LANES_MAX || now_ms < l->not_until_ms)
		return false;
	l->busy = 0;
	return true;
}

void pg_load_failed(struct pg_load *l, uint64_t now_ms, uint64_t pause_ms)
{
	l->not_until_ms = now_ms + pause_ms;
}
