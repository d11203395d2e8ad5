#include "injector/cli.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Whole runs of the program in this process, with its two outputs in files. Words are separated by
 * '|'; `out` and `words` are parts of what is expected, or all of it when they end in a newline. */
struct row {
	const char *name, *line;
	int status;
	const char *out, *words;
};

static struct row rows[] = {
	{ "nothing: help", "podgraft", 0, "Usage:\n    podgraft COMMAND [options]\n", "" },
	{ "help", "podgraft|help", 0, "    version      Print the version", "" },
	{ "help of a command", "podgraft|help|completion", 0,
	  "Usage:\n    podgraft completion bash|zsh|fish [options]\n", "" },
	{ "--help of a command", "podgraft|completion|--help", 0, "Usage:\n    podgraft completion",
	  "" },
	{ "-h", "podgraft|-h", 0, "Usage:\n    podgraft COMMAND", "" },
	{ "as a plugin", "/usr/bin/kubectl-podgraft|help", 0,
	  "Usage:\n    kubectl podgraft COMMAND", "" },
	{ "help of nothing known", "podgraft|help|x", 2, "",
	  "podgraft: unknown command 'x'\n  hint: 'podgraft help' lists the commands\n" },
	{ "version", "podgraft|version", 0, "podgraft " PG_VERSION " (protocol 1)\n", "" },
	{ "version as JSON", "podgraft|version|-o|json", 0,
	  "{\"client\":{\"version\":\"" PG_VERSION "\",\"protocol\":1}}\n", "" },
	{ "options before the command", "podgraft|-n|x|--output=json|version", 0,
	  "{\"client\":", "" },
	{ "unknown command", "podgraft|versoin", 2, "",
	  "podgraft: unknown command 'versoin'\n  hint: did you mean 'podgraft version'?\n" },
	{ "unknown option", "podgraft|version|--namspace=x", 2, "",
	  "podgraft: unknown option '--namspace'\n  hint: did you mean --namespace?\n" },
	{ "unknown option before the command", "podgraft|--contex|x|version", 2, "",
	  "podgraft: unknown option '--contex'\n  hint: did you mean --context?\n" },
	{ "errors as JSON, wherever that is asked for", "podgraft|version|--bad|--output|json", 2,
	  "{\"error\":{\"message\":\"unknown option '--bad'\",\"hint\":\"--help lists the "
	  "options\","
	  "\"class\":\"usage\",\"code\":2}}\n",
	  "" },
	{ "too much", "podgraft|version|x", 2, "",
	  "podgraft: version does not take 'x'\n  hint: usage: podgraft version\n" },
	{ "too little", "podgraft|completion", 2, "",
	  "podgraft: completion needs more: bash|zsh|fish\n  hint: usage: podgraft completion "
	  "bash|zsh|fish\n" },
	{ "no command wanted", "podgraft|version|--|ls", 2, "",
	  "podgraft: version takes no command after '--'\n" },
	{ "a bad line before a program", "podgraft|redirect|web|--bad|--|ls", 125, "",
	  "podgraft: unknown option '--bad'\n" },
	{ "a bad line before a program, as JSON", "podgraft|redirect|web|--bad|-o|json|--|ls", 125,
	  "", "\"class\":\"usage\",\"code\":2}}\n" },
	{ "no program after the dashes", "podgraft|redirect|web|--", 2, "",
	  "podgraft: nothing follows '--'\n" },
	{ "bad value", "podgraft|version|--request-timeout=soon", 2, "",
	  "podgraft: --request-timeout: 'soon' is no legal value\n" },
	{ "completion for bash", "podgraft|completion|bash", 0, "complete -F _podgraft podgraft\n",
	  "" },
	{ "completion for zsh", "podgraft|completion|zsh", 0, "#compdef podgraft\n", "" },
	{ "completion for fish", "podgraft|completion|fish", 0, "complete -c podgraft", "" },
	{ "completion for nothing known", "podgraft|completion|tcsh", 2, "",
	  "podgraft: no completion for 'tcsh'\n" },
	{ "complete a command", "podgraft|__complete|ver", 0,
	  "version\tPrint the version of this program and of the protocol it speaks\n:4\n", "" },
	{ "complete nothing", "podgraft|__complete", 0, "help\tTell about podgraft", "" },
	{ "complete an option", "podgraft|__complete|version|--na", 0,
	  "--namespace\tThe namespace of the target, instead of the context's\n:4\n", "" },
	{ "complete a choice", "podgraft|__complete|version|-o|", 0, "text\njson\n:4\n", "" },
	{ "complete a choice after =", "podgraft|__complete|--output=t", 0, "--output=text\n:4\n",
	  "" },
	{ "complete a file", "podgraft|__complete|--client-key|", 0, ":0\n", "" },
	{ "complete contexts",
	  "podgraft|__complete|--kubeconfig|fuzz_kubeconfig.corpus/full|--context|", 0, "dev\n:4\n",
	  "" },
	{ "complete an operand", "podgraft|__complete|completion|f", 0, "fish\n:4\n", "" },
	{ "complete after two dashes", "podgraft|__complete|version|--|l", 0, ":0\n", "" },
	{ "complete after an error", "podgraft|__complete|--bad|version|--q", 0, ":4\n", "" },
};

static int split(char *line, char **argv)
{
	int argc = 0;
	for (;;) {
		argv[argc++] = line;
		line += strcspn(line, "|");
		if (!*line)
			break;
		*line++ = '\0';
	}
	argv[argc] = NULL;
	return argc;
}

/* Sends `fd` to an empty file; returns what it was. */
static int redirect_to_file(int fd, FILE *to)
{
	int was = dup(fd);
	assert_true(was >= 0 && dup2(fileno(to), fd) == fd);
	return was;
}

static void read_back(FILE *f, char *out, size_t size)
{
	rewind(f);
	size_t n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	fclose(f);
}

static void expect(const char *name, const char *got, const char *want)
{
	if (*want == '\0' ? *got != '\0' : !strstr(got, want))
		fail_msg("%s: got:\n%s\nwant:\n%s", name, got, want);
}

static void runs(void **state)
{
	const struct row *row = *state;
	static char out[32 << 10], words[8 << 10];
	char line[512], *argv[32];
	FILE *out_file = tmpfile(), *words_file = tmpfile();
	assert_true(out_file && words_file);
	snprintf(line, sizeof(line), "%s", row->line);
	int argc = split(line, argv);
	fflush(NULL);
	int old_out = redirect_to_file(STDOUT_FILENO, out_file);
	int old_words = redirect_to_file(STDERR_FILENO, words_file);
	int status = pg_cli_main(argc, argv);
	fflush(NULL);
	dup2(old_out, STDOUT_FILENO);
	dup2(old_words, STDERR_FILENO);
	close(old_out);
	close(old_words);
	read_back(out_file, out, sizeof(out));
	read_back(words_file, words, sizeof(words));
	expect("stdout", out, row->out);
	expect("stderr", words, row->words);
	assert_int_equal(status, row->status);
}

/* No name or letter may mean two things in one command. */
static void names_are_unique(void **state)
{
	(void)state;
	static const struct pg_opt none[] = { { .name = NULL } };
	for (const struct pg_command *const *c = pg_commands; *c; c++) {
		const struct pg_opt *sets[] = { pg_general_opts, pg_kube_opts,
						(*c)->opts ? (*c)->opts : none,
						(*c)->needs_pod ? pg_pod_opts : none };
		const struct pg_opt *seen[128];
		size_t n = 0;
		for (size_t s = 0; s < PG_LEN(sets); s++) {
			for (const struct pg_opt *o = sets[s]; o->name; o++) {
				for (size_t i = 0; i < n; i++) {
					assert_string_not_equal(seen[i]->name, o->name);
					assert_false(o->letter && seen[i]->letter == o->letter);
					assert_false(o->alias &&
						     strcmp(seen[i]->name, o->alias) == 0);
				}
				seen[n++] = o;
			}
		}
		assert_true((*c)->values_size <= PG_CLI_VALUES_MAX);
		assert_non_null((*c)->operands);
	}
}

/* Every sentence of help ends as one, and no line is wider than a terminal. */
static void help_is_well_formed(void **state)
{
	(void)state;
	for (const struct pg_command *const *c = pg_commands; *c; c++) {
		struct pg_buf out = PG_BUF_INIT(64 << 10);
		assert_int_equal(pg_cli_help("kubectl podgraft", *c, &out), 0);
		for (const char *line = pg_buf_str(&out); *line;) {
			size_t n = strcspn(line, "\n");
			if (n > 100)
				fail_msg("%s: too wide: %.*s", (*c)->name, (int)n, line);
			line += n + (line[n] == '\n');
		}
		pg_buf_fini(&out);
		for (const struct pg_opt *o = (*c)->opts; o && o->name; o++)
			if (o->help && o->help[strlen(o->help) - 1] != '.')
				fail_msg("--%s: no full stop", o->name);
	}
}

int main(void)
{
	enum { OTHERS = 2 };
	struct CMUnitTest tests[PG_LEN(rows) + OTHERS] = {
		cmocka_unit_test(names_are_unique),
		cmocka_unit_test(help_is_well_formed),
	};
	for (size_t i = 0; i < PG_LEN(rows); i++)
		tests[i + OTHERS] = (struct CMUnitTest){ rows[i].name, runs, NULL, NULL, &rows[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
