#include "agent/challenge.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Where things stand in a challenge: the time, most significant byte first, and the randomness are
 * what the code covers. */
enum { AT_RANDOM = 8, AT_CODE = AT_RANDOM + PG_CHALLENGE_RANDOM };
static_assert(AT_CODE + PG_MAC_BYTES == PG_NONCE_BYTES, "a challenge is a nonce");

static uint64_t made_ms(const uint8_t nonce[PG_NONCE_BYTES])
{
	uint64_t ms = 0;
	for (int i = 0; i < AT_RANDOM; i++)
		ms = ms << 8 | nonce[i];
	return ms;
}

static bool is_over(uint64_t made, uint64_t now_ms)
{
	return now_ms - made >= PG_CHALLENGE_MS;
}

void pg_challenges_init(struct pg_challenges *c, const uint8_t key[PG_MAC_KEY_BYTES])
{
	memcpy(c->key, key, PG_MAC_KEY_BYTES);
	c->used_count = 0;
}

void pg_challenges_make(const struct pg_challenges *c, const uint8_t random[PG_CHALLENGE_RANDOM],
			uint64_t now_ms, uint8_t nonce[PG_NONCE_BYTES])
{
	for (int i = AT_RANDOM; i-- > 0; now_ms >>= 8)
		nonce[i] = (uint8_t)now_ms;
	memcpy(nonce + AT_RANDOM, random, PG_CHALLENGE_RANDOM);
	pg_mac(c->key, nonce, AT_CODE, nonce + AT_CODE);
}

bool pg_challenges_are_ours(const struct pg_challenges *c, const uint8_t nonce[PG_NONCE_BYTES],
			    uint64_t now_ms)
{
	return pg_mac_verify(c->key, nonce, AT_CODE, nonce + AT_CODE) == 0 &&
	       !is_over(made_ms(nonce), now_ms);
}

static void forget_those_over(struct pg_challenges *c, uint64_t now_ms)
{
	size_t kept = 0;
	for (size_t i = 0; i < c->used_count; i++)
		if (!is_over(c->used[i].made_ms, now_ms))
			c->used[kept++] = c->used[i];
	c->used_count = kept;
}

int pg_challenges_use(struct pg_challenges *c, const uint8_t nonce[PG_NONCE_BYTES], uint64_t now_ms)
{
	struct pg_challenge_used entry = { .made_ms = made_ms(nonce) };
	memcpy(entry.random, nonce + AT_RANDOM, sizeof(entry.random));
	forget_those_over(c, now_ms);
	for (size_t i = 0; i < c->used_count; i++)
		if (c->used[i].made_ms == entry.made_ms &&
		    memcmp(c->used[i].random, entry.random, sizeof(entry.random)) == 0)
			return -EALREADY;
	if (c->used_count == PG_CHALLENGES_USED)
		return -ENOBUFS;
	c->used[c->used_count++] = entry;
	return 0;
}
