#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "agent/challenge.h"

static struct pg_challenges c;

static int set_up(void **state)
{
	uint8_t key[PG_MAC_KEY_BYTES];
	(void)state;
	assert_int_equal(pg_auth_init(), 0);
	pg_random(key, sizeof(key));
	pg_challenges_init(&c, key);
	return 0;
}

/* A challenge made at `now_ms`, unlike those of other numbers. */
static const uint8_t *challenge(uint32_t number, uint64_t now_ms)
{
	static uint8_t nonce[PG_NONCE_BYTES];
	uint8_t random[PG_CHALLENGE_RANDOM] = { 0 };
	memcpy(random, &number, sizeof(number));
	pg_challenges_make(&c, random, now_ms, nonce);
	return nonce;
}

static void a_challenge_works_once(void **state)
{
	(void)state;
	assert_true(pg_challenges_are_ours(&c, challenge(1, 100), 100));
	assert_int_equal(pg_challenges_use(&c, challenge(1, 100), 100), 0);
	assert_int_equal(pg_challenges_use(&c, challenge(1, 100), 100), -EALREADY);
	assert_int_equal(pg_challenges_use(&c, challenge(1, 100), 10099), -EALREADY);
	assert_int_equal(pg_challenges_use(&c, challenge(1, 101), 101), 0); /* another time */
	assert_int_equal(pg_challenges_use(&c, challenge(2, 100), 101), 0);
}

static void a_challenge_lives_ten_seconds(void **state)
{
	(void)state;
	assert_true(pg_challenges_are_ours(&c, challenge(1, 100), 100 + PG_CHALLENGE_MS - 1));
	assert_false(pg_challenges_are_ours(&c, challenge(1, 100), 100 + PG_CHALLENGE_MS));
	assert_false(pg_challenges_are_ours(&c, challenge(1, 100), 99)); /* from the future */
	assert_true(pg_challenges_are_ours(&c, challenge(1, UINT64_MAX - 5), 20)); /* it wraps */
}

/* Who asks 1,000 times a second, as long as a challenge lives, leaves every one its time. */
static void a_flood_of_challenges_shortens_nobodys_time(void **state)
{
	uint8_t first[PG_NONCE_BYTES];
	(void)state;
	memcpy(first, challenge(0, 0), sizeof(first));
	for (uint32_t i = 1; i < PG_CHALLENGE_MS; i++)
		assert_true(pg_challenges_are_ours(&c, challenge(i, i), i));
	assert_true(pg_challenges_are_ours(&c, first, PG_CHALLENGE_MS - 1));
	assert_int_equal(c.used_count, 0);
	assert_int_equal(pg_challenges_use(&c, first, PG_CHALLENGE_MS - 1), 0);
}

static void every_bit_is_covered(void **state)
{
	uint8_t nonce[PG_NONCE_BYTES];
	(void)state;
	memcpy(nonce, challenge(7, 100), sizeof(nonce));
	for (size_t bit = 0; bit < sizeof(nonce) * 8; bit++) {
		nonce[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(pg_challenges_are_ours(&c, nonce, 100));
		nonce[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(pg_challenges_are_ours(&c, nonce, 100));
}

static void another_agents_is_not_ours(void **state)
{
	uint8_t theirs[PG_NONCE_BYTES], zeros[PG_NONCE_BYTES] = { 0 };
	memcpy(theirs, challenge(1, 100), sizeof(theirs));
	set_up(state); /* another key */
	assert_false(pg_challenges_are_ours(&c, theirs, 100));
	assert_false(pg_challenges_are_ours(&c, zeros, 0));
}

static void the_memory_of_used_ones_is_bounded_and_becomes_free(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PG_CHALLENGES_USED; i++)
		assert_int_equal(pg_challenges_use(&c, challenge(i, 100), 100), 0);
	assert_int_equal(pg_challenges_use(&c, challenge(PG_CHALLENGES_USED, 100), 100), -ENOBUFS);
	assert_int_equal(pg_challenges_use(&c, challenge(0, 100), 100), -EALREADY);
	assert_int_equal(pg_challenges_use(&c, challenge(0, 10099), 10099), -ENOBUFS);
	assert_int_equal(pg_challenges_use(&c, challenge(0, 10100), 10100), 0);
	assert_int_equal(c.used_count, 1);
}

static unsigned digit(char hex)
{
	return (unsigned)(isdigit((unsigned char)hex) ? hex - '0' : hex - 'a' + 10);
}

/* The bytes of the line "name: hex" of the block ```challenge in the document. */
static void documented(const char *name, uint8_t *out, size_t n)
{
	static char text[64 << 10];
	char key[32];
	FILE *f = fopen("../docs/protocol.md", "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	const char *at = strstr(text, "```challenge\n");
	assert_non_null(at);
	snprintf(key, sizeof(key), "\n%s:", name);
	at = strstr(at, key);
	assert_non_null(at);
	at += strlen(key) + strspn(at + strlen(key), " ");
	for (size_t i = 0; i < n; i++, at += 2) {
		assert_true(isxdigit((unsigned char)at[0]) && isxdigit((unsigned char)at[1]));
		out[i] = (uint8_t)(digit(at[0]) << 4 | digit(at[1]));
	}
	assert_int_equal(*at, '\n');
}

static void the_documented_example_holds(void **state)
{
	uint8_t key[PG_MAC_KEY_BYTES], made[8], random[PG_CHALLENGE_RANDOM];
	uint8_t want[PG_NONCE_BYTES], got[PG_NONCE_BYTES];
	uint64_t made_ms = 0;
	(void)state;
	documented("key", key, sizeof(key));
	documented("made", made, sizeof(made));
	documented("random", random, sizeof(random));
	documented("challenge", want, sizeof(want));
	for (size_t i = 0; i < sizeof(made); i++)
		made_ms = made_ms << 8 | made[i];
	pg_challenges_init(&c, key);
	pg_challenges_make(&c, random, made_ms, got);
	assert_memory_equal(got, want, sizeof(want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_challenge_works_once, set_up),
		cmocka_unit_test_setup(a_challenge_lives_ten_seconds, set_up),
		cmocka_unit_test_setup(a_flood_of_challenges_shortens_nobodys_time, set_up),
		cmocka_unit_test_setup(every_bit_is_covered, set_up),
		cmocka_unit_test_setup(another_agents_is_not_ours, set_up),
		cmocka_unit_test_setup(the_memory_of_used_ones_is_bounded_and_becomes_free, set_up),
		cmocka_unit_test_setup(the_documented_example_holds, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
