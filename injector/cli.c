#include "injector/cli.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "injector/cli_options.h"
#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/wire/auth.h"

enum {
	COMMANDS_MAX = 32,
	OWN_FAILURE = 125, /* with "-- COMMAND": as env(1) does it */
	EXIT_SIGNAL = 128
};

const struct pg_command *pg_command_find(const char *name)
{
	for (const struct pg_command *const *c = pg_commands; *c; c++)
		if (strcmp((*c)->name, name) == 0 ||
		    ((*c)->alias && strcmp((*c)->alias, name) == 0))
			return *c;
	return NULL;
}

/* kubectl runs its plugins by the full path of kubectl-podgraft. */
static const char *program_name(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
	const char *base = slash ? slash + 1 : argv0;
	return base && strncmp(base, "kubectl-", 8) == 0 ? "kubectl podgraft" : "podgraft";
}

/* The first signal ends the waits, the next one the process, as it would without us. */
static void on_signal(void *ctx, int signo)
{
	struct pg_app *app = ctx;
	app->signo = signo;
	pg_loop_on_signal(app->loop, NULL, NULL);
	pg_loop_interrupt(app->loop, true);
}

static void on_slow(void *ctx, uint64_t waited_ms)
{
	struct pg_app *app = ctx;
	const char *what = app->waits->ops->waiting_for(app->waits);
	if (!*what && app->waits_for)
		what = app->waits_for;
	pg_output_waiting(&app->out, what, waited_ms);
}

void pg_app_show_waits(struct pg_app *app, const struct pg_platform *platform)
{
	app->waits = platform;
	pg_loop_on_slow(app->loop, platform ? on_slow : NULL, app);
}

int pg_cli_unknown(const char *program, const char *name, struct pg_err *err)
{
	const char *names[COMMANDS_MAX];
	size_t n = 0;
	for (const struct pg_command *const *c = pg_commands; *c && n < COMMANDS_MAX; c++)
		if ((*c)->summary)
			names[n++] = (*c)->name;
	const char *closest = pg_closest(name, names, n);
	pg_fail(err, -EINVAL, "unknown command '%s'", name);
	if (closest)
		return pg_hint(err, PG_USER, "did you mean '%s %s'?", program, closest);
	return pg_hint(err, PG_USER, "'%s help' lists the commands", program);
}

static int check_operands(const char *program, const struct pg_command *c,
			  const struct pg_operands *ops, struct pg_err *err)
{
	if (ops->command && !c->takes_command)
		pg_fail(err, -EINVAL, "%s takes no command after '--'", c->name);
	else if (ops->command && ops->command_count == 0)
		pg_fail(err, -EINVAL, "nothing follows '--'");
	else if (ops->count < c->least)
		pg_fail(err, -EINVAL, "%s needs more: %s", c->name, c->operands);
	else if (c->most >= 0 && ops->count > c->most)
		pg_fail(err, -EINVAL, "%s does not take '%s'", c->name, ops->items[c->most]);
	else
		return 0;
	return pg_hint(err, PG_USER, "usage: %s %s%s%s", program, c->name,
		       c->operands[0] ? " " : "", c->operands);
}

int pg_cli_own_failure(struct pg_app *app, const struct pg_err *err)
{
	if (app->out.format == PG_FORMAT_JSON)
		pg_output_leave_stdout(&app->out);
	pg_output_error(&app->out, err);
	return OWN_FAILURE;
}

/* The words themselves are asked: their parsing may have failed before it came to "--". */
static bool gives_program(const struct pg_app *app, const struct pg_command *c)
{
	char **word = app->argv;
	while (*word && strcmp(*word, "--") != 0)
		word++;
	return c->takes_command && word[0] && word[1];
}

static int print_help(struct pg_app *app, const struct pg_command *command, struct pg_err *err)
{
	struct pg_buf out = PG_BUF_INIT(64 << 10);
	int rc = pg_cli_help(app->program, command, &out);
	if (rc == 0)
		pg_output_text(&app->out, pg_buf_str(&out));
	pg_buf_fini(&out);
	return rc < 0 ? pg_fail(err, rc, "print the help") : 0;
}

/* Makes the loop, runs the command, ends the loop. */
static int run_command(struct pg_app *app, const struct pg_command *c, void *values,
		       const struct pg_operands *ops, struct pg_err *err)
{
	if (pg_auth_init() < 0)
		return pg_fail(err, -EIO, "this machine gives no random numbers.");
	app->loop = pg_loop_new(err);
	if (!app->loop)
		return err->code;
	pg_loop_many_files(app->loop, true); /* one for each connection */
	pg_loop_on_signal(app->loop, on_signal, app);
	int rc = c->run(app, values, ops, err);
	pg_loop_on_signal(app->loop, NULL, NULL);
	pg_loop_free(app->loop);
	return rc;
}

/* Parses what follows the program's name, in two steps: to the command's name with the options
 * that all have, then the rest with its own as well. */
static int parse_and_run(struct pg_app *app, struct pg_global_values *global, int argc, char **argv,
			 struct pg_err *err)
{
	static const struct pg_opt none[] = { { .name = NULL } };
	uint64_t values[PG_CLI_VALUES_MAX / sizeof(uint64_t)] = { 0 };
	struct pg_opt_set sets[] = { { "", pg_general_opts, global },
				     { "", pg_kube_opts, global },
				     { "", none, values },
				     { "", none, values } };
	struct pg_operands ops = { .count = 0 };
	int rc = pg_opts_init(sets, 2, err);
	if (rc == 0)
		rc = pg_opts_parse(sets, 2, argc, argv, true, &ops, err);
	if (rc < 0)
		return rc;
	if (ops.count == 0)
		return print_help(app, NULL, err);
	const struct pg_command *c = pg_command_find(ops.items[0]);
	if (!c)
		return pg_cli_unknown(app->program, ops.items[0], err);
	assert(c->values_size <= sizeof(values));
	if (c->opts)
		sets[2].opts = c->opts;
	if (c->needs_pod)
		sets[3].opts = pg_pod_opts;
	if (c->takes_raw) {
		ops.items++;
		ops.count--;
	} else {
		rc = pg_opts_init(&sets[2], 2, err);
		if (rc == 0)
			rc = pg_opts_parse(sets, 4, ops.count - 1, ops.items + 1, false, &ops, err);
	}
	if (rc == 0)
		pg_global_apply(global, app);
	if (rc == 0 && global->help)
		return print_help(app, c, err);
	if (rc == 0)
		rc = check_operands(app->program, c, &ops, err);
	if (rc < 0)
		return gives_program(app, c) ? pg_cli_own_failure(app, err) : rc;
	return run_command(app, c, values, &ops, err);
}

/* Errors about the command line itself are JSON too when it asks for that, wherever it does. */
static enum pg_format wanted_format(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		bool is_next = strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--output") == 0;
		if (strcmp(argv[i], "-ojson") == 0 || strcmp(argv[i], "-o=json") == 0 ||
		    strcmp(argv[i], "--output=json") == 0 ||
		    (is_next && i + 1 < argc && strcmp(argv[i + 1], "json") == 0))
			return PG_FORMAT_JSON;
	}
	return PG_FORMAT_TEXT;
}

/* Parsing reorders argv. NULL: out of memory. */
static char **copy_words(int argc, char **argv)
{
	char **words = pg_calloc((size_t)argc + 1, sizeof(*words));
	for (int i = 0; words && i < argc; i++)
		words[i] = argv[i];
	return words;
}

int pg_cli_main(int argc, char **argv)
{
	pg_auto_free char **words = copy_words(argc, argv);
	struct pg_app app = { .program = program_name(argv[0]), .argv = words };
	struct pg_global_values global = { .help = false };
	struct pg_err err = { .code = 0 };
	pg_output_init(&app.out, wanted_format(argc, argv), false, 0);
	int rc = words ? 0 : pg_fail(&err, -ENOMEM, "start");
	if (rc == 0)
		rc = parse_and_run(&app, &global, argc > 0 ? argc - 1 : 0, argv + 1, &err);
	if (rc == 0)
		rc = pg_output_written(&app.out, &err);
	if (rc == -ECANCELED && app.signo)
		rc = EXIT_SIGNAL + app.signo; /* the person knows why */
	else if (rc == -EPIPE && app.out.write_code == rc)
		rc = EXIT_SIGNAL + SIGPIPE; /* as in "| head" */
	else if (rc < 0)
		pg_output_error(&app.out, &err);
	pg_output_fini(&app.out);
	return rc < 0 ? pg_err_exit(&err) : rc;
}
