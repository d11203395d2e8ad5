#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "proto/wire/auth.h"

/* The challenges that a laptop may answer: nonces of single use that live PG_CHALLENGE_MS. Pure:
 * randomness and time are arguments. The oldest makes room when all places are taken, so whoever
 * asks for many only shortens the time that everybody has. */
enum { PG_CHALLENGES = 64, PG_CHALLENGE_MS = 10000 };

struct pg_challenges { /* zeroed at first */
	struct {
		uint8_t nonce[PG_NONCE_BYTES];
		uint64_t made_ms;
		bool is_open;
	} slots[PG_CHALLENGES];
	unsigned next; /* slot of the oldest, or a free one */
};

void pg_challenges_add(struct pg_challenges *c, const uint8_t nonce[PG_NONCE_BYTES],
		       uint64_t now_ms);

/* True when `nonce` is an open challenge, which it no longer is after the call. */
bool pg_challenges_take(struct pg_challenges *c, const uint8_t nonce[PG_NONCE_BYTES],
			uint64_t now_ms);
