#pragma once
#include "injector/kubeconfig.h"
#include "injector/output.h"
#include "injector/platform.h"
#include "proto/base/opt.h"
#include "proto/io/loop.h"

/* The command line of podgraft: one const entry per command, one table of them (commands.c), from
 * which help, completion and dispatch come. */

/* What every command gets. It lives as long as the process's work. */
struct pg_app {
	struct pg_loop *loop;
	struct pg_output out;      /* its log is for library code: &app->out.log */
	struct pg_kube_flags kube; /* of kubectl's common flags */
	char **argv;               /* of the process, as it was given; NULL-terminated */
	const char *program;       /* "podgraft", or "kubectl podgraft" when run as a plugin */
	/* SIGINT, SIGTERM or SIGHUP has come: every wait ends with -ECANCELED, and a second one
	 * ends the process. A command that wants the signals itself calls pg_loop_on_signal(). */
	int signo;
	const struct pg_platform *waits;                /* see pg_app_show_waits() */
	const struct pg_credential_source *credentials; /* of one of many pods; else NULL */
	const char *waits_for; /* what a command itself waits for, or NULL; borrowed */
};

struct pg_command {
	const char *name;
	const char *alias;         /* another name, or NULL */
	const char *operands;      /* for the usage line: "TARGET [POD[:LOCAL]...] [-- COMMAND]" */
	const char *summary;       /* one line for the list of commands; NULL: hidden */
	const char *details;       /* paragraphs for its own help, or NULL */
	const char *examples;      /* lines; "%" stands for the program's name; or NULL */
	const struct pg_opt *opts; /* its own, ended by a row without a name; or NULL */
	size_t values_size;        /* of the struct that `opts` fills; at most PG_CLI_VALUES_MAX */
	bool needs_pod; /* has pg_pod_opts too; its values begin with a struct pg_pod_values */
	const char *const *words; /* what its first operand may be, NULL-terminated; or NULL */
	int least, most;          /* operands; most < 0: any number */
	bool takes_command;       /* "-- COMMAND" is allowed */
	bool takes_raw;     /* everything after its name is an operand: no option is looked at */
	bool needs_cluster; /* kubectl's flags mean something to it */
	/* The exit status, or a negative errno with *err set. `values` is what `opts` fills. */
	int (*run)(struct pg_app *app, void *values, const struct pg_operands *ops,
		   struct pg_err *err);
};

enum { PG_CLI_VALUES_MAX = 32 << 10 };

/* The table, ended by NULL: commands.c. */
extern const struct pg_command *const pg_commands[];

/* The entry called `name`, also by its alias; NULL: none. */
const struct pg_command *pg_command_find(const char *name);

/* The options that every command has, and kubectl's. */
extern const struct pg_opt pg_general_opts[], pg_kube_opts[];

/* The options of every command that works on a pod: pod_opts.c. */
extern const struct pg_opt pg_pod_opts[];

/* Runs the command that argv names. The process's exit code. */
int pg_cli_main(int argc, char **argv);

/* From now on every wait over a second shows what `platform` is doing. NULL stops that. */
void pg_app_show_waits(struct pg_app *app, const struct pg_platform *platform);

/* Adds what the last of `words` may be completed to, in the form that kubectl asks of its plugins:
 * a line "CANDIDATE<tab>description" each, then ":" and a bit mask. `words` follow the program's
 * name; the last one is being typed, maybe empty. 0, or a negative errno. */
int pg_cli_complete(char **words, int count, struct pg_buf *out);

/* Tells a failure of ours where "-- COMMAND" is given. Its exit code: all others, and standard
 * output, are that program's. */
int pg_cli_own_failure(struct pg_app *app, const struct pg_err *err);

/* Fails with what was perhaps meant. */
int pg_cli_unknown(const char *program, const char *name, struct pg_err *err);

/* Adds the help of a command, or, with NULL, of the program. 0 or a negative errno. */
int pg_cli_help(const char *program, const struct pg_command *command, struct pg_buf *out);
