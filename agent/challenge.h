#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire/auth.h"

/* The challenges that a laptop answers (docs/protocol.md, "Proof"). One is a time, randomness and a
 * code over both that only this agent can make, so that those under way take no memory, however
 * many a stranger asks for, and none of them shortens the life of another. What is remembered are
 * those that a good signature has used, until they expire. Pure: key, randomness and time are
 * arguments; the time may begin anywhere, but must not go back. */
enum {
	PG_CHALLENGE_MS = 10000,
	PG_CHALLENGES_USED = 1024, /* in PG_CHALLENGE_MS: a hundred proofs of the user a second */
	PG_CHALLENGE_RANDOM = 8,
};

struct pg_challenges {
	uint8_t key[PG_MAC_KEY_BYTES]; /* of the codes: random, and nobody else's */
	struct pg_challenge_used {
		uint64_t made_ms;
		uint8_t random[PG_CHALLENGE_RANDOM];
	} used[PG_CHALLENGES_USED];
	size_t used_count;
};

/* With none used. */
void pg_challenges_init(struct pg_challenges *c, const uint8_t key[PG_MAC_KEY_BYTES]);

/* Makes the challenge of this moment; `random` makes it unlike every other one. */
void pg_challenges_make(const struct pg_challenges *c, const uint8_t random[PG_CHALLENGE_RANDOM],
			uint64_t now_ms, uint8_t nonce[PG_NONCE_BYTES]);

/* Whether `nonce` was made by this agent, less than PG_CHALLENGE_MS ago. */
bool pg_challenges_are_ours(const struct pg_challenges *c, const uint8_t nonce[PG_NONCE_BYTES],
			    uint64_t now_ms);

/* Uses a challenge of ours, which must come after its signature was verified: nobody else is to
 * fill the memory. 0; -EALREADY: it was used before; -ENOBUFS: too many were. */
int pg_challenges_use(struct pg_challenges *c, const uint8_t nonce[PG_NONCE_BYTES],
		      uint64_t now_ms);
