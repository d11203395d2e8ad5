#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/base/auto.h"
#include "proto/base/num.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

static struct number_case {
	const char *name, *text;
	uint64_t lo, hi;
	int want;
	uint64_t value;
} numbers[] = {
	{ "number: 0", "0", 0, 9, 0, 0 },
	{ "number: leading zeros", "0042", 0, 99, 0, 42 },
	{ "number: the lowest", "1", 1, 65535, 0, 1 },
	{ "number: the highest", "65535", 1, 65535, 0, 65535 },
	{ "number: below", "0", 1, 65535, -ERANGE, 0 },
	{ "number: above", "65536", 1, 65535, -ERANGE, 0 },
	{ "number: 2^64 - 1", "18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX },
	{ "number: 2^64", "18446744073709551616", 0, UINT64_MAX, -ERANGE, 0 },
	{ "number: thirty digits", "123456789012345678901234567890", 0, UINT64_MAX, -ERANGE, 0 },
	{ "number: empty", "", 0, 9, -EINVAL, 0 },
	{ "number: a sign", "+1", 0, 9, -EINVAL, 0 },
	{ "number: negative", "-1", 0, 9, -EINVAL, 0 },
	{ "number: a space before", " 1", 0, 9, -EINVAL, 0 },
	{ "number: a space behind", "1 ", 0, 9, -EINVAL, 0 },
	{ "number: hexadecimal", "0x1f", 0, 99, -EINVAL, 0 },
	{ "number: too large and no number", "99999999999999999999x", 0, 9, -EINVAL, 0 },
};

static void reads_number(void **state)
{
	const struct number_case *c = *state;
	uint64_t got = 77;
	assert_int_equal(pg_parse_u64(c->text, c->lo, c->hi, &got), c->want);
	assert_int_equal(got, c->want == 0 ? c->value : 77);
}

static void reads_no_further_than_told(void **state)
{
	(void)state;
	uint64_t got = 0;
	assert_int_equal(pg_parse_u64n("80803", 4, 0, UINT64_MAX, &got), 0);
	assert_int_equal(got, 8080);
	assert_int_equal(pg_parse_u64n("80803", 0, 0, UINT64_MAX, &got), -EINVAL);
}

struct unit_case {
	const char *name, *text;
	int want;
	uint64_t value;
};

static struct unit_case durations[] = {
	{ "duration: 0", "0", 0, 0 },
	{ "duration: 250ms", "250ms", 0, 250 },
	{ "duration: 90s", "90s", 0, 90 * SECOND },
	{ "duration: 5m", "5m", 0, 5 * MINUTE },
	{ "duration: 2h", "2h", 0, 2 * HOUR },
	{ "duration: 1m30s", "1m30s", 0, 90 * SECOND },
	{ "duration: 1h1m1s1ms", "1h1m1s1ms", 0, HOUR + MINUTE + SECOND + 1 },
	{ "duration: 0s", "0s", 0, 0 },
	{ "duration: ten years", "87600h", 0, 87600ull * HOUR },
	{ "duration: over ten years", "87601h", -ERANGE, 0 },
	{ "duration: over ten years in parts", "87600h1ms", -ERANGE, 0 },
	{ "duration: overflow", "18446744073709551615h", -ERANGE, 0 },
	{ "duration: a bare number", "90", -EINVAL, 0 },
	{ "duration: a bare number at the end", "1m30", -EINVAL, 0 },
	{ "duration: a unit alone", "s", -EINVAL, 0 },
	{ "duration: an unknown unit", "3d", -EINVAL, 0 },
	{ "duration: a capital unit", "3S", -EINVAL, 0 },
	{ "duration: a fraction", "1.5h", -EINVAL, 0 },
	{ "duration: negative", "-1s", -EINVAL, 0 },
	{ "duration: a space", "1m 30s", -EINVAL, 0 },
	{ "duration: empty", "", -EINVAL, 0 },
};

static struct unit_case sizes[] = {
	{ "size: 512", "512", 0, 512 },
	{ "size: 0", "0", 0, 0 },
	{ "size: 64Ki", "64Ki", 0, 64 << 10 },
	{ "size: 64Mi", "64Mi", 0, 64 << 20 },
	{ "size: 1Gi", "1Gi", 0, 1 << 30 },
	{ "size: 64k", "64k", 0, 64000 },
	{ "size: 64M", "64M", 0, 64000000 },
	{ "size: 2G", "2G", 0, 2000000000 },
	{ "size: 2^63 - 1", "9223372036854775807", 0, INT64_MAX },
	{ "size: 2^63", "9223372036854775808", -ERANGE, 0 },
	{ "size: overflow by its unit", "9007199254740992Ki", -ERANGE, 0 },
	{ "size: an unknown unit", "64MB", -EINVAL, 0 },
	{ "size: a capital K", "64K", -EINVAL, 0 },
	{ "size: two sizes", "1Gi1Mi", -EINVAL, 0 },
	{ "size: digits behind the unit", "1Gi1", -EINVAL, 0 },
	{ "size: a fraction", "0.5Gi", -EINVAL, 0 },
	{ "size: negative", "-1", -EINVAL, 0 },
	{ "size: empty", "", -EINVAL, 0 },
};

static void reads_duration(void **state)
{
	const struct unit_case *c = *state;
	uint64_t got = 77;
	assert_int_equal(pg_parse_duration(c->text, &got), c->want);
	assert_int_equal(got, c->want == 0 ? c->value : 77);
}

static void reads_size(void **state)
{
	const struct unit_case *c = *state;
	uint64_t got = 77;
	assert_int_equal(pg_parse_size(c->text, &got), c->want);
	assert_int_equal(got, c->want == 0 ? c->value : 77);
}

static void big_endian_there_and_back(void **state)
{
	(void)state;
	static const uint8_t want[] = { 0x01, 0x02, 0x03, 0x04, 0xf5, 0xf6, 0xf7, 0xf8 };
	uint8_t p[8];
	pg_put_be64(p, 0x01020304f5f6f7f8);
	assert_memory_equal(p, want, 8);
	assert_int_equal(pg_get_be64(want), 0x01020304f5f6f7f8);
	assert_int_equal(pg_get_be32(want + 4), 0xf5f6f7f8);
	assert_int_equal(pg_get_be16(want + 6), 0xf7f8);
	pg_put_be32(p, 0xf5f6f7f8);
	assert_memory_equal(p, want + 4, 4);
	pg_put_be16(p, 0xf7f8);
	assert_memory_equal(p, want + 6, 2);
}

static void checked_arithmetic_stops_at_the_end(void **state)
{
	(void)state;
	size_t n = 77;
	assert_true(pg_add(SIZE_MAX - 1, 1, &n) && n == SIZE_MAX);
	assert_false(pg_add(SIZE_MAX, 1, &n));
	assert_true(pg_mul(SIZE_MAX / 2, 2, &n) && n == SIZE_MAX - 1);
	assert_false(pg_mul(SIZE_MAX / 2 + 1, 2, &n));
	assert_int_equal(n, SIZE_MAX - 1);
	assert_true(pg_mul(0, SIZE_MAX, &n) && n == 0);
	assert_true(pg_mul(SIZE_MAX, 0, &n) && n == 0);
}

int main(void)
{
	struct CMUnitTest tests[3 + PG_LEN(numbers) + PG_LEN(durations) + PG_LEN(sizes)] = {
		cmocka_unit_test(reads_no_further_than_told),
		cmocka_unit_test(big_endian_there_and_back),
		cmocka_unit_test(checked_arithmetic_stops_at_the_end),
	};
	struct CMUnitTest *t = tests + 3;
	for (size_t i = 0; i < PG_LEN(numbers); i++)
		*t++ = (struct CMUnitTest){ numbers[i].name, reads_number, NULL, NULL,
					    &numbers[i] };
	for (size_t i = 0; i < PG_LEN(durations); i++)
		*t++ = (struct CMUnitTest){ durations[i].name, reads_duration, NULL, NULL,
					    &durations[i] };
	for (size_t i = 0; i < PG_LEN(sizes); i++)
		*t++ = (struct CMUnitTest){ sizes[i].name, reads_size, NULL, NULL, &sizes[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
