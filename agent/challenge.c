#include "agent/challenge.h"

#include <string.h>

void pg_challenges_add(struct pg_challenges *c, const uint8_t nonce[PG_NONCE_BYTES],
		       uint64_t now_ms)
{
	unsigned i = c->next;
	memcpy(c->slots[i].nonce, nonce, PG_NONCE_BYTES);
	c->slots[i].made_ms = now_ms;
	c->slots[i].is_open = true;
	c->next = (i + 1) % PG_CHALLENGES;
}

bool pg_challenges_take(struct pg_challenges *c, const uint8_t nonce[PG_NONCE_BYTES],
			uint64_t now_ms)
{
	for (unsigned i = 0; i < PG_CHALLENGES; i++) {
		if (!c->slots[i].is_open || memcmp(c->slots[i].nonce, nonce, PG_NONCE_BYTES) != 0)
			continue;
		c->slots[i].is_open = false;
		return now_ms - c->slots[i].made_ms < PG_CHALLENGE_MS;
	}
	return false;
}
