#include "injector/banner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/base/auto.h"

#define HEAD "podgraft-agent/1 listening on 127.0.0.1:"
#define KEY  "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=" /* bytes 1 to 32 */

struct banner_case {
	const char *name, *line;
	int want;
	uint16_t port;
};
static struct banner_case cases[] = {
	{ "as an agent prints it", HEAD "41873 key " KEY, 0, 41873 },
	{ "least port", HEAD "1 key " KEY, 0, 1 },
	{ "greatest port", HEAD "65535 key " KEY, 0, 65535 },
	{ "port over 65535", HEAD "65536 key " KEY, -EINVAL, 0 },
	{ "port 0", HEAD "0 key " KEY, -EINVAL, 0 },
	{ "leading zero", HEAD "080 key " KEY, -EINVAL, 0 },
	{ "sign", HEAD "+80 key " KEY, -EINVAL, 0 },
	{ "endless port", HEAD "99999999999999999999999 key " KEY, -EINVAL, 0 },
	{ "no port", HEAD " key " KEY, -EINVAL, 0 },
	{ "another address", "podgraft-agent/1 listening on 0.0.0.0:80 key " KEY, -EINVAL, 0 },
	{ "next version", "podgraft-agent/2 anything", -EPROTONOSUPPORT, 0 },
	{ "version 0", "podgraft-agent/0 listening", -EINVAL, 0 },
	{ "no version", "podgraft-agent/ listening", -EINVAL, 0 },
	{ "short key", HEAD "80 key AQID", -EINVAL, 0 },
	{ "no key", HEAD "80 key ", -EINVAL, 0 },
	{ "something behind", HEAD "80 key " KEY " ", -EINVAL, 0 },
	{ "something before", " " HEAD "80 key " KEY, -EINVAL, 0 },
	{ "carriage return", HEAD "80 key " KEY "\r", -EINVAL, 0 },
	{ "an error of the agent", "podgraft-agent: needs NET_ADMIN", -EINVAL, 0 },
	{ "nothing", "", -EINVAL, 0 },
};

static void parses(void **state)
{
	const struct banner_case *c = *state;
	struct pg_banner b = { .port = 7 };
	assert_int_equal(pg_banner_parse(c->line, &b), c->want);
	assert_int_equal(b.port, c->want == 0 ? c->port : 7); /* untouched on failure */
	if (c->want == 0) {
		assert_int_equal(b.version, 1);
		assert_int_equal(b.key[0], 1);
		assert_int_equal(b.key[31], 32);
	}
	if (c->want == -EPROTONOSUPPORT)
		assert_int_equal(b.version, 2);
}

static void every_prefix_is_refused(void **state)
{
	char line[] = HEAD "41873 key " KEY;
	(void)state;
	for (size_t n = strlen(line); n > 0; n--) {
		struct pg_banner b;
		line[n - 1] = '\0';
		assert_int_equal(pg_banner_parse(line, &b), -EINVAL);
	}
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 1] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, parses, NULL, NULL, &cases[i] };
	tests[PG_LEN(cases)] = (struct CMUnitTest)cmocka_unit_test(every_prefix_is_refused);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
