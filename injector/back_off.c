#include "injector/back_off.h"

#include <errno.h>

#include "proto/base/mem.h"
#include "proto/base/num.h"

enum {
	FIRST_MS = 200, /* doubles ... */
	MOST_MS = 10000,
	STEADY_MS = 30000, /* a link that lasts so long starts anew */
	FRESH_MOST = 5,    /* new agents in a row that do not: each stays in the pod's spec ... */
	FRESH_MOST_MS = 300000, /* ... so the next one takes its time */
	GRACE_MS = 30000,       /* what an API server says while it starts is not its last word */
};

void pg_back_off_up(struct pg_back_off *b, uint64_t now_ms, bool is_new)
{
	b->up_ms = now_ms;
	b->fresh += is_new;
}

void pg_back_off_lost(struct pg_back_off *b, uint64_t now_ms)
{
	if (now_ms - b->up_ms >= STEADY_MS)
		b->wait_ms = b->fresh = 0;
}

uint64_t pg_back_off_next(struct pg_back_off *b, uint8_t dice)
{
	uint64_t most = b->fresh < FRESH_MOST ? MOST_MS : FRESH_MOST_MS;
	uint64_t wait_ms = b->wait_ms * 4 / 5 + b->wait_ms * 2 / 5 * dice / 255;
	b->wait_ms = pg_min_u64(pg_max(b->wait_ms * 2, (uint64_t)FIRST_MS), most);
	return wait_ms;
}

/* A target that is gone is gone; but right after a loss an API server that starts may refuse what
 * it allows in a moment, our old agent may hang on its port, and a node be slow. One that cannot
 * start an agent is not asked for ever: each stays in the pod's spec. */
bool pg_back_off_is_final(const struct pg_err *err, uint64_t lost_for_ms)
{
	static const int words[] = {
		EACCES, EPERM, EBUSY, EEXIST, EINVAL, ENOENT, ECHILD, ENOEXEC
	};
	if (err->code == -ECANCELED || (err->code == -EINVAL && err->whose != PG_CLUSTER))
		return true;
	for (size_t i = 0; i < PG_LEN(words); i++)
		if (err->code == -words[i])
			return lost_for_ms > GRACE_MS;
	return false;
}
