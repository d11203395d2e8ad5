#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/opt.h"

/* For tests that compare a manual page with the option tables. They come from cmocka's programs and
 * fail through it: <cmocka.h> is included before. */

/* The text of docs/man/NAME; the caller frees it. Tests run in their build folder's source. */
static char *read_page(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 20);
	if (!f || !text || fread(text, 1, (1 << 20) - 1, f) == 0)
		fail_msg("cannot read %s", path);
	fclose(f);
	return text;
}

/* The part of the page from the line `heading` to the next heading. The caller frees it. */
static char *part_of(const char *page, const char *heading)
{
	char line[96];
	snprintf(line, sizeof(line), "\n%s\n", heading);
	const char *begin = strstr(page, line);
	if (!begin)
		fail_msg("the page has no '%s'", heading);
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

/* Under `heading` the page tells of exactly the options of the table that --help shows. */
static void compare_options(const char *page, const char *heading, const struct pg_opt *opts)
{
	char *part = part_of(page, heading);
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
