#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "injector/cli.h"
#include "injector/read_file.h"

/* docs/man/podgraft.1 tells of exactly the options that the tables have, under the heading of each
 * command, with the same letters and names of arguments. */
static struct pg_buf page = PG_BUF_INIT(1 << 20);

static int read_page(void **state)
{
	(void)state;
	return pg_read_file("../docs/man/podgraft.1", &page, NULL);
}

static int free_page(void **state)
{
	(void)state;
	pg_buf_fini(&page);
	return 0;
}

/* The part of the page from the line `heading` to the next heading. Owned. */
static char *part_of(const char *heading)
{
	char line[96];
	snprintf(line, sizeof(line), "\n%s\n", heading);
	const char *begin = strstr(pg_buf_str(&page), line);
	if (!begin)
		fail_msg("podgraft.1 has no '%s'", heading);
	begin += strlen(line) - 1;
	const char *section = strstr(begin, "\n.Sh "), *subsection = strstr(begin, "\n.Ss ");
	const char *end = subsection && (!section || subsection < section) ? subsection : section;
	return strndup(begin, end ? (size_t)(end - begin) + 1 : strlen(begin));
}

/* ".It Fl n , Fl -namespace Ns = Ns Ar NAME" for a row of a table. */
static void item_of(const struct pg_opt *o, char *out, size_t size)
{
	char letter[16] = "", value[128] = "", alias[64] = "";
	if (o->letter)
		snprintf(letter, sizeof(letter), "Fl %c , ", o->letter);
	if (o->alias)
		snprintf(alias, sizeof(alias), " , Fl -%s", o->alias);
	if (o->kind == PG_OPT_CHOICE) {
		size_t n = (size_t)snprintf(value, sizeof(value), " Ns = Ns Cm %s", o->choices[0]);
		for (size_t i = 1; o->choices[i]; i++)
			n += (size_t)snprintf(value + n, sizeof(value) - n, " | %s", o->choices[i]);
	} else if (o->argument) {
		snprintf(value, sizeof(value), " Ns = Ns Ar %s", o->argument);
	}
	snprintf(out, size, "\n.It %sFl -%s%s%s\n", letter, o->name, alias, value);
}

static size_t count_items(const char *part)
{
	size_t n = 0;
	for (const char *p = strstr(part, "\n.It Fl "); p; p = strstr(p + 1, "\n.It Fl "))
		n++;
	return n;
}

static void compare(const char *heading, const struct pg_opt *opts)
{
	char *part = part_of(heading);
	size_t visible = 0;
	for (const struct pg_opt *o = opts; o && o->name; o++) {
		char item[256];
		if (!o->help)
			continue;
		visible++;
		item_of(o, item, sizeof(item));
		if (!strstr(part, item))
			fail_msg("'%s' lacks the line%s", heading, item);
	}
	if (count_items(part) != visible)
		fail_msg("'%s' has options that the program does not have", heading);
	free(part);
}

static void every_command_and_option_is_there(void **state)
{
	(void)state;
	for (const struct pg_command *const *c = pg_commands; *c; c++) {
		char heading[64];
		if (!(*c)->summary)
			continue;
		snprintf(heading, sizeof(heading), ".Ss %s", (*c)->name);
		compare(heading, (*c)->opts);
	}
}

static void general_options(void **state)
{
	(void)state;
	compare(".Sh GENERAL OPTIONS", pg_general_opts);
}

static void options_of_commands_on_a_pod(void **state)
{
	(void)state;
	compare(".Sh OPTIONS OF COMMANDS ON A POD", pg_pod_opts);
}

static void options_of_kubectl(void **state)
{
	(void)state;
	compare(".Sh OPTIONS OF KUBECTL", pg_kube_opts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_and_option_is_there),
		cmocka_unit_test(general_options),
		cmocka_unit_test(options_of_commands_on_a_pod),
		cmocka_unit_test(options_of_kubectl),
	};
	return cmocka_run_group_tests(tests, read_page, free_page);
}
