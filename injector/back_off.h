#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/err.h"

/* When to try again after a lost link, and when no more. Pure: time and dice come from the caller.
 * Zeroed, it is ready. */
struct pg_back_off {
	uint64_t wait_ms; /* before the next attempt */
	uint64_t up_ms;   /* when the link came up */
	unsigned fresh;   /* newly grafted agents whose links did not last */
};

/* The link is up, at `now_ms`; `is_new`: by an agent that was grafted for it. */
void pg_back_off_up(struct pg_back_off *b, uint64_t now_ms, bool is_new);

/* The link is lost: one that lasted starts anew. */
void pg_back_off_lost(struct pg_back_off *b, uint64_t now_ms);

/* How long to wait before the next attempt: 0 for the first after a link that lasted, then
 * doubling, by a fifth more or less, as `dice` (0 to 255) says, so that many laptops do not come
 * back at once. */
uint64_t pg_back_off_next(struct pg_back_off *b, uint8_t dice);

/* Whether it is no use to try again after `err`, `lost_for_ms` after the loss. */
bool pg_back_off_is_final(const struct pg_err *err, uint64_t lost_for_ms);
