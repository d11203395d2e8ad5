#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/config.h"
#include "proto/base/test_man_page.h"

/* docs/man/podgraft-agent.8 tells of exactly the agent's options. */
static void every_option_is_there(void **state)
{
	(void)state;
	char *page = read_page("../docs/man/podgraft-agent.8");
	compare_options(page, ".Sh OPTIONS", pg_agent_opts);
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_option_is_there) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
