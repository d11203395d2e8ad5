#include "injector/rfc3339.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/base/auto.h"

/* Seconds by `date -u -d TEXT +%s`. */
static struct row {
	const char *text;
	int rc;
	int64_t seconds;
} rows[] = {
	{ "1970-01-01T00:00:00Z", 0, 0 },
	{ "2000-02-29T12:34:56Z", 0, 951827696 },
	{ "2030-01-01T00:00:00Z", 0, 1893456000 },
	{ "2030-01-01T00:00:00.123456789Z", 0, 1893456000 },
	{ "2030-01-01T02:00:00+02:00", 0, 1893456000 },
	{ "2029-12-31T19:30:00-04:30", 0, 1893456000 },
	{ "2024-12-31t23:59:60z", 0, 1735689600 },
	{ "1969-12-31T23:59:59Z", 0, -1 },
	{ "0001-01-01T00:00:00Z", 0, -62135596800 },
	{ "9999-12-31T23:59:59Z", 0, 253402300799 },
	{ "2023-02-29T00:00:00Z", -EINVAL, 0 },
	{ "1900-02-29T00:00:00Z", -EINVAL, 0 },
	{ "2030-13-01T00:00:00Z", -EINVAL, 0 },
	{ "2030-04-31T00:00:00Z", -EINVAL, 0 },
	{ "2030-01-01T24:00:00Z", -EINVAL, 0 },
	{ "2030-01-01T00:00:00", -EINVAL, 0 },
	{ "2030-01-01 00:00:00Z", -EINVAL, 0 },
	{ "2030-01-01T00:00:00.Z", -EINVAL, 0 },
	{ "2030-01-01T00:00:00+0200", -EINVAL, 0 },
	{ "2030-01-01T00:00:00Zjunk", -EINVAL, 0 },
	{ "2030-1-1T00:00:00Z", -EINVAL, 0 },
	{ "2030", -EINVAL, 0 },
	{ "", -EINVAL, 0 },
};

static void reads(void **state)
{
	const struct row *row = *state;
	int64_t seconds = 0;
	assert_int_equal(pg_rfc3339_parse(row->text, &seconds), row->rc);
	assert_true(seconds == row->seconds);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(rows)];
	for (size_t i = 0; i < PG_LEN(rows); i++)
		tests[i] = (struct CMUnitTest){ rows[i].text, reads, NULL, NULL, &rows[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
