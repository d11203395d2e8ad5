#include "injector/told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/base/mem.h"

struct told_case {
	const char *line;
	int want;
	enum pg_told_kind kind;
	json_int_t open;
};
static struct told_case cases[] = {
	{ "{\"event\":\"ready\"}", 0, PG_TOLD_READY, 0 },
	{ "{\"event\":\"resumed\"}", 0, PG_TOLD_READY, 0 },
	{ "{\"event\":\"status\",\"open\":7}", 0, PG_TOLD_STATUS, 7 },
	{ "{\"event\":\"status\",\"open\":-7}", 0, PG_TOLD_STATUS, 0 },
	{ "{\"event\":\"status\",\"open\":\"7\"}", 0, PG_TOLD_STATUS, 0 },
	{ "{\"event\":\"status\",\"open\":7.5}", 0, PG_TOLD_STATUS, 0 },
	{ "{\"event\":\"status\",\"open\":9223372036854775807}", 0, PG_TOLD_STATUS, PG_TOLD_MOST },
	{ "{\"event\":\"counts\"}", 0, PG_TOLD_COUNTS, 0 },
	{ "{\"event\":\"ended\"}", 0, PG_TOLD_ENDED, 0 },
	{ "{\"event\":\"lost\"}", 0, PG_TOLD_LOST, 0 },
	{ "{\"event\":\"warning\"}", 0, PG_TOLD_WARNING, 0 },
	{ "{\"event\":\"waiting\"}", 0, PG_TOLD_WAITING, 0 },
	{ "{\"event\":\"credential\",\"open\":1}", 0, PG_TOLD_CREDENTIAL, 1 },
	{ "{\"event\":\"taken\"}", 0, PG_TOLD_TAKEN, 0 },
	{ "{\"event\":\"freed\"}", 0, PG_TOLD_FREED, 0 },
	{ "{\"event\":\"of another version\"}", 0, PG_TOLD_OTHER, 0 },
	{ "{\"error\":{\"message\":\"no\",\"open\":3}}", 0, PG_TOLD_ERROR, 3 },
	{ "{\"event\":\"failed\",\"error\":{}}", 0, PG_TOLD_OTHER, 0 },
	{ "{\"error\":\"a text\"}", -EPROTO, PG_TOLD_OTHER, 0 },
	{ "{\"event\":7}", -EPROTO, PG_TOLD_OTHER, 0 },
	{ "{\"event\":\"\"}", -EPROTO, PG_TOLD_OTHER, 0 },
	{ "{\"event\":\"ready\"", -EPROTO, PG_TOLD_OTHER, 0 },
	{ "[{\"event\":\"ready\"}]", -EPROTO, PG_TOLD_OTHER, 0 },
	{ "\"ready\"", -EPROTO, PG_TOLD_OTHER, 0 },
	{ "", -EPROTO, PG_TOLD_OTHER, 0 },
};

static void decodes(void **state)
{
	const struct told_case *c = *state;
	struct pg_told told = { .object = NULL };
	assert_int_equal(pg_told_parse(c->line, strlen(c->line), &told), c->want);
	assert_int_equal(told.kind, c->kind);
	assert_int_equal(told.object != NULL, c->want == 0);
	assert_int_equal(pg_told_count(told.object, "open"), c->open);
	json_decref(told.object);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases)] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].line, decodes, NULL, NULL, &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
