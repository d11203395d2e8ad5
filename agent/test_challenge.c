#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/challenge.h"

static const uint8_t *nonce(unsigned i)
{
	static uint8_t n[PG_NONCE_BYTES];
	memset(n, 0, sizeof(n));
	memcpy(n, &i, sizeof(i));
	return n;
}

static void a_challenge_works_once(void **state)
{
	(void)state;
	struct pg_challenges c = { 0 };
	pg_challenges_add(&c, nonce(1), 100);
	assert_false(pg_challenges_take(&c, nonce(2), 100));
	assert_true(pg_challenges_take(&c, nonce(1), 100));
	assert_false(pg_challenges_take(&c, nonce(1), 100));
}

static void nothing_is_open_at_first(void **state)
{
	(void)state;
	struct pg_challenges c = { 0 };
	assert_false(pg_challenges_take(&c, nonce(0), 0)); /* all zeros, like a free slot */
}

static void a_challenge_lives_ten_seconds(void **state)
{
	(void)state;
	struct pg_challenges c = { 0 };
	pg_challenges_add(&c, nonce(1), 100);
	pg_challenges_add(&c, nonce(2), 100);
	assert_true(pg_challenges_take(&c, nonce(1), 100 + PG_CHALLENGE_MS - 1));
	assert_false(pg_challenges_take(&c, nonce(2), 100 + PG_CHALLENGE_MS));
	assert_false(pg_challenges_take(&c, nonce(2), 100));
}

static void the_oldest_makes_room(void **state)
{
	(void)state;
	struct pg_challenges c = { 0 };
	for (unsigned i = 0; i <= PG_CHALLENGES; i++)
		pg_challenges_add(&c, nonce(i), i);
	assert_false(pg_challenges_take(&c, nonce(0), 100));
	for (unsigned i = 1; i <= PG_CHALLENGES; i++)
		assert_true(pg_challenges_take(&c, nonce(i), 100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_challenge_works_once),
		cmocka_unit_test(nothing_is_open_at_first),
		cmocka_unit_test(a_challenge_lives_ten_seconds),
		cmocka_unit_test(the_oldest_makes_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
