#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/wire/cursor.h"

static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static void reads_what_is_there(void **state)
{
	(void)state;
	struct pg_cursor c = pg_cursor(bytes, sizeof(bytes));
	assert_int_equal(pg_cursor_u8(&c), 1);
	assert_int_equal(pg_cursor_be16(&c), 0x0203);
	assert_int_equal(pg_cursor_be32(&c), 0x04050607);
	assert_false(pg_cursor_done(&c));
	assert_true(pg_cursor_be64(&c) == UINT64_C(0x08090a0b0c0d0e0f));
	assert_true(pg_cursor_done(&c));
}

/* A read that does not fit yields zero and nothing fits any more, not even less. */
static void stays_short(void **state)
{
	(void)state;
	for (size_t n = 0; n < 8; n++) {
		struct pg_cursor c = pg_cursor(bytes, n);
		assert_int_equal(pg_cursor_be64(&c), 0);
		assert_true(c.is_short);
		assert_int_equal(pg_cursor_be32(&c), 0);
		assert_int_equal(pg_cursor_be16(&c), 0);
		assert_int_equal(pg_cursor_u8(&c), 0);
		assert_null(pg_cursor_bytes(&c, 0));
		assert_false(pg_cursor_done(&c));
	}
}

static void lends_bytes(void **state)
{
	(void)state;
	struct pg_cursor c = pg_cursor(bytes, sizeof(bytes));
	assert_ptr_equal(pg_cursor_bytes(&c, 4), bytes);
	assert_ptr_equal(pg_cursor_bytes(&c, 0), bytes + 4);
	assert_ptr_equal(pg_cursor_bytes(&c, 11), bytes + 4);
	assert_true(pg_cursor_done(&c));
	assert_null(pg_cursor_bytes(&c, SIZE_MAX));
	assert_false(pg_cursor_done(&c));
}

static void nothing_is_done_at_once(void **state)
{
	(void)state;
	struct pg_cursor c = pg_cursor(NULL, 0);
	assert_true(pg_cursor_done(&c));
	assert_int_equal(pg_cursor_u8(&c), 0);
	assert_false(pg_cursor_done(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_is_there),
		cmocka_unit_test(stays_short),
		cmocka_unit_test(lends_bytes),
		cmocka_unit_test(nothing_is_done_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
