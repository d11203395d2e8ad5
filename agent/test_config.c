#include "agent/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

struct row {
	const char *name;
	const char *words[12];
	int want;
	const char *says;
};

static struct row rows[] = {
	{ "as podgraft starts it",
	  { "agent", "--laptop-key", KEY, "--pod-uid", "u-1", "--container", "podgraft-a" },
	  0,
	  NULL },
	{ "no word", { "--laptop-key", KEY }, -EINVAL, "expected one word" },
	{ "another word", { "serve" }, -EINVAL, "expected one word" },
	{ "no key", { "agent", "--pod-uid", "u", "--container", "c" }, -EINVAL, "--laptop-key" },
	{ "a short key",
	  { "agent", "--laptop-key", "AAEC", "--pod-uid", "u", "--container", "c" },
	  -EINVAL,
	  "--laptop-key" },
	{ "no uid", { "agent", "--laptop-key", KEY, "--container", "c" }, -EINVAL, "--pod-uid" },
	{ "a name that is none",
	  { "agent", "--laptop-key", KEY, "--pod-uid", "u", "--container", "Bad Name" },
	  -EINVAL,
	  "--container" },
	{ "an unknown profile", { "agent", "--profile", "root" }, -EINVAL, "--profile" },
	{ "an idle time without a unit", { "agent", "--idle", "30" }, -EINVAL, "--idle" },
	{ "less memory than it needs", { "agent", "--memory", "1Mi" }, -EINVAL, "--memory" },
	{ "an unknown option", { "agent", "--port", "1" }, -EINVAL, "--port" },
};

static void reads(void **state)
{
	const struct row *row = *state;
	struct pg_agent_options o;
	struct pg_agent_config c = { 0 };
	struct pg_err err = { 0 };
	char *argv[13] = { NULL };
	int argc = 0;
	for (; row->words[argc]; argc++)
		argv[argc] = (char *)row->words[argc];
	int rc = pg_agent_options_read(argc, argv, &o, &err);
	if (rc == 0)
		rc = pg_agent_options_config(&o, &c, &err);
	assert_int_equal(rc, row->want);
	if (row->says) {
		assert_non_null(strstr(err.what, row->says));
		assert_true(err.hint[0] != '\0');
	}
}

static void defaults_are_those_of_the_design(void **state)
{
	const char *words[] = {
		"agent", "--laptop-key", KEY, "--pod-uid", "u", "--container", "c"
	};
	char *argv[PG_LEN(words) + 1] = { NULL };
	struct pg_agent_options o;
	struct pg_agent_config c;
	struct pg_err err;
	(void)state;
	for (size_t i = 0; i < PG_LEN(words); i++)
		argv[i] = (char *)words[i];
	assert_int_equal(pg_agent_options_read(PG_LEN(words), argv, &o, &err), 0);
	assert_int_equal(pg_agent_options_config(&o, &c, &err), 0);
	assert_int_equal(c.idle_ms, 30 * 60 * 1000);
	assert_int_equal(c.memory_bytes, 64 << 20);
	assert_string_equal(c.profile, "redirect");
	assert_int_equal(c.laptop_key[31], 0x1f);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(rows) + 1] = {
		cmocka_unit_test(defaults_are_those_of_the_design),
	};
	for (size_t i = 0; i < PG_LEN(rows); i++)
		tests[i + 1] = (struct CMUnitTest){ rows[i].name, reads, NULL, NULL, &rows[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
