#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "injector/cli.h"
#include "proto/base/test_man_page.h"

/* docs/man/podgraft.1 tells of exactly the options that the tables have, under the heading of each
 * command, with the same letters and names of arguments. */
static char *page;

static int open_page(void **state)
{
	(void)state;
	page = read_page("../docs/man/podgraft.1");
	return 0;
}

static int close_page(void **state)
{
	(void)state;
	free(page);
	return 0;
}

static void every_command_and_option_is_there(void **state)
{
	(void)state;
	for (const struct pg_command *const *c = pg_commands; *c; c++) {
		char heading[64];
		if (!(*c)->summary)
			continue;
		snprintf(heading, sizeof(heading), ".Ss %s", (*c)->name);
		compare_options(page, heading, (*c)->opts);
	}
}

static void general_options(void **state)
{
	(void)state;
	compare_options(page, ".Sh GENERAL OPTIONS", pg_general_opts);
}

static void options_of_commands_on_a_pod(void **state)
{
	(void)state;
	compare_options(page, ".Sh OPTIONS OF COMMANDS ON A POD", pg_pod_opts);
}

static void options_of_kubectl(void **state)
{
	(void)state;
	compare_options(page, ".Sh OPTIONS OF KUBECTL", pg_kube_opts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_and_option_is_there),
		cmocka_unit_test(general_options),
		cmocka_unit_test(options_of_commands_on_a_pod),
		cmocka_unit_test(options_of_kubectl),
	};
	return cmocka_run_group_tests(tests, open_page, close_page);
}
