#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "injector/cli_options.h"
#include "injector/commands.h"
#include "injector/kubeconfig_files.h"

/* The bit mask at the end of an answer (cobra's, which kubectl uses). */
enum { MAY_BE_FILES = 0, NO_FILES = 4 };

/* What is being completed. */
struct ask {
	const struct pg_opt_set *sets;
	size_t set_count;
	const struct pg_command *command;      /* NULL: its name is being typed */
	const struct pg_global_values *values; /* of the words before */
	const char *typed;
	struct pg_buf *out;
};

/* A candidate that begins with what is typed; of the description only the first sentence. */
static int offer(const struct ask *a, const char *before, const char *word, const char *description)
{
	size_t n = strlen(before);
	if (strncmp(a->typed, before, n) != 0 ||
	    strncmp(a->typed + n, word, strlen(a->typed + n)) != 0)
		return 0;
	int rc = pg_buf_addf(a->out, "%s%s", before, word);
	if (rc == 0 && description)
		rc = pg_buf_addf(a->out, "\t%.*s", (int)strcspn(description, ".:;"), description);
	return rc < 0 ? rc : pg_buf_add_str(a->out, "\n");
}

static int offer_words(const struct ask *a, const char *before, const char *const *words)
{
	int rc = 0;
	for (; words && *words && rc == 0; words++)
		rc = offer(a, before, *words, NULL);
	return rc;
}

static int offer_commands(const struct ask *a)
{
	int rc = 0;
	for (const struct pg_command *const *c = pg_commands; *c && rc == 0; c++)
		if ((*c)->summary)
			rc = offer(a, "", (*c)->name, (*c)->summary);
	return rc;
}

static int offer_options(const struct ask *a)
{
	int rc = 0;
	for (size_t s = 0; s < a->set_count; s++)
		for (const struct pg_opt *o = a->sets[s].opts; o->name && rc == 0; o++)
			if (o->help)
				rc = offer(a, "--", o->name, o->help);
	return rc;
}

/* The names of entries in the kubeconfig. */
static int offer_entries(const struct ask *a, const char *before, const char *kind)
{
	struct pg_kube_files files;
	char names[4096];
	int rc = 0;
	if (pg_kube_files_load(a->values->kube.kubeconfig, &files, NULL) < 0)
		return 0;
	pg_kube_files_names(&files, kind, names, sizeof(names));
	for (char *name = names; *name && rc == 0;) {
		size_t n = strcspn(name, ",");
		bool last = name[n] == '\0';
		name[n] = '\0';
		rc = offer(a, before, name, NULL);
		name += last ? n : n + 2;
	}
	pg_kube_files_fini(&files);
	return rc;
}

/* Values of an option: 0 and *mask set. */
static int offer_values(const struct ask *a, const struct pg_opt *o, const char *before, int *mask)
{
	static const char *const kinds[] = { "context", "cluster", "user" };
	*mask = NO_FILES;
	if (o->kind == PG_OPT_CHOICE)
		return offer_words(a, before, o->choices);
	if (o->argument && strcmp(o->argument, "FILE") == 0)
		*mask = MAY_BE_FILES;
	for (size_t i = 0; i < PG_LEN(kinds); i++)
		if (strcmp(o->name, kinds[i]) == 0)
			return offer_entries(a, before, kinds[i]);
	return 0;
}

/* The option that `word` ("--name", "--name=...", "-n") is, and that takes a value. */
static const struct pg_opt *option_of(const struct ask *a, const char *word)
{
	bool is_long = strncmp(word, "--", 2) == 0;
	size_t n = strcspn(word, "=");
	for (size_t s = 0; s < a->set_count; s++)
		for (const struct pg_opt *o = a->sets[s].opts; o->name; o++) {
			if (o->kind == PG_OPT_FLAG || o->kind == PG_OPT_COUNT)
				continue;
			if (is_long && strlen(o->name) == n - 2 &&
			    memcmp(o->name, word + 2, n - 2) == 0)
				return o;
			if (!is_long && o->letter && word[0] == '-' && word[1] == o->letter &&
			    word[2] == '\0')
				return o;
		}
	return NULL;
}

static int answer(const struct ask *a, const char *previous, int *mask)
{
	const struct pg_opt *o =
		previous[0] == '-' && !strchr(previous, '=') ? option_of(a, previous) : NULL;
	*mask = NO_FILES;
	if (o)
		return offer_values(a, o, "", mask);
	if (strncmp(a->typed, "--", 2) == 0 && strchr(a->typed, '=')) {
		char before[64];
		o = option_of(a, a->typed);
		snprintf(before, sizeof(before), "%.*s", (int)strcspn(a->typed, "=") + 1, a->typed);
		return o ? offer_values(a, o, before, mask) : 0;
	}
	if (a->typed[0] == '-')
		return offer_options(a);
	if (!a->command || a->command == &pg_cmd_help)
		return offer_commands(a);
	return offer_words(a, "", a->command->words);
}

static bool has_two_dashes(char **words, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(words[i], "--") == 0)
			return true;
	return false;
}

int pg_cli_complete(char **words, int count, struct pg_buf *out)
{
	uint64_t values[PG_CLI_VALUES_MAX / sizeof(uint64_t)] = { 0 };
	struct pg_global_values global = { .help = false };
	struct pg_opt_set sets[] = { { "", pg_general_opts, &global },
				     { "", pg_kube_opts, &global },
				     { "", NULL, values },
				     { "", NULL, values } };
	struct pg_operands ops = { .count = 0 };
	int before = count > 0 ? count - 1 : 0, mask = MAY_BE_FILES, rc = 0;
	struct ask a = { .sets = sets,
			 .set_count = 2,
			 .values = &global,
			 .typed = count > 0 ? words[before] : "",
			 .out = out };
	const char *previous = before > 0 ? words[before - 1] : "";
	if (!has_two_dashes(words, before)) {
		/* A line that is not finished may be wrong so far: what could be read counts. */
		(void)pg_opts_parse(sets, 2, before, words, true, &ops, NULL);
		a.command = ops.count > 0 ? pg_command_find(ops.items[0]) : NULL;
		if (a.command && a.command->opts)
			sets[a.set_count++].opts = a.command->opts;
		if (a.command && a.command->needs_pod)
			sets[a.set_count++].opts = pg_pod_opts;
		if (a.command)
			(void)pg_opts_parse(sets, a.set_count, ops.count - 1, ops.items + 1, false,
					    &ops, NULL);
		rc = answer(&a, previous, &mask);
	}
	return rc < 0 ? rc : pg_buf_addf(out, ":%d\n", mask);
}
