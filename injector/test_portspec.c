#include "injector/portspec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct row {
	const char *text;
	int rc;
	struct pg_portspec want;
} rows[] = {
	{ "8080", 0, { "", 8080, 8080 } },
	{ "8080:3000", 0, { "", 8080, 3000 } },
	{ "1:65535", 0, { "", 1, 65535 } },
	{ "http", 0, { "http", 0, 0 } },
	{ "http:3000", 0, { "http", 0, 3000 } },
	{ "a", 0, { "a", 0, 0 } },
	{ "web-2-tls", 0, { "web-2-tls", 0, 0 } },
	{ "fifteen-letters", 0, { "fifteen-letters", 0, 0 } },
	{ "8080x", 0, { "8080x", 0, 0 } },
	{ "", -EINVAL, { "", 0, 0 } },
	{ "0", -EINVAL, { "", 0, 0 } },
	{ "65536", -EINVAL, { "", 0, 0 } },
	{ "99999999999999999999", -EINVAL, { "", 0, 0 } },
	{ "-1", -EINVAL, { "", 0, 0 } },
	{ "+80", -EINVAL, { "", 0, 0 } },
	{ " 80", -EINVAL, { "", 0, 0 } },
	{ "8080:", -EINVAL, { "", 0, 0 } },
	{ ":8080", -EINVAL, { "", 0, 0 } },
	{ "8080:0", -EINVAL, { "", 0, 0 } },
	{ "8080:http", -EINVAL, { "", 0, 0 } },
	{ "8080:80:80", -EINVAL, { "", 0, 0 } },
	{ "sixteen-letters-", -EINVAL, { "", 0, 0 } },
	{ "sixteen-letters1", -EINVAL, { "", 0, 0 } },
	{ "HTTP", -EINVAL, { "", 0, 0 } },
	{ "-http", -EINVAL, { "", 0, 0 } },
	{ "http-", -EINVAL, { "", 0, 0 } },
	{ "a--b", -EINVAL, { "", 0, 0 } },
	{ "a_b", -EINVAL, { "", 0, 0 } },
	{ "80-90", -EINVAL, { "", 0, 0 } },
};

static void reads(void **state)
{
	const struct row *row = *state;
	struct pg_portspec spec = { .name = "" };
	struct pg_err err = { .code = 0 };
	assert_int_equal(pg_portspec_parse(row->text, &spec, &err), row->rc);
	assert_string_equal(spec.name, row->want.name);
	assert_int_equal(spec.pod, row->want.pod);
	assert_int_equal(spec.local, row->want.local);
	if (row->rc < 0) {
		assert_int_equal(err.whose, PG_USER);
		assert_true(err.hint[0] != '\0');
	}
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(rows)];
	for (size_t i = 0; i < PG_LEN(rows); i++)
		tests[i] = (struct CMUnitTest){ rows[i].text, reads, NULL, NULL, &rows[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
