#include <string.h>

#include "injector/cli.h"

/* `text`, in which "%" stands for the program's name, each line indented. */
static int add_examples(const char *program, const char *text, struct pg_buf *out)
{
	int rc = pg_buf_add_str(out, "Examples:\n");
	while (*text && rc == 0) {
		size_t n = strcspn(text, "\n");
		rc = n > 0 ? pg_buf_add_str(out, "    ") : 0;
		for (size_t i = 0; i < n && rc == 0; i++)
			rc = text[i] == '%' ? pg_buf_add_str(out, program)
					    : pg_buf_add(out, &text[i], 1);
		if (rc == 0)
			rc = pg_buf_add_str(out, "\n");
		text += n + (text[n] == '\n');
	}
	return rc < 0 ? rc : pg_buf_add_str(out, "\n");
}

static int add_set(const char *title, const struct pg_opt *opts, struct pg_buf *out)
{
	const struct pg_opt_set set = { title, opts, NULL };
	return pg_opts_help(&set, out);
}

static int command_help(const char *program, const struct pg_command *c, struct pg_buf *out)
{
	int rc = pg_text_wrap(c->summary ? c->summary : "Used by completion scripts.", 0, out);
	if (rc == 0 && c->details)
		rc = pg_buf_add_str(out, "\n");
	if (rc == 0 && c->details)
		rc = pg_text_wrap(c->details, 0, out);
	if (rc == 0)
		rc = pg_buf_addf(out, "\nUsage:\n    %s %s%s%s [options]\n\n", program, c->name,
				 c->operands[0] ? " " : "", c->operands);
	if (rc == 0 && c->alias)
		rc = pg_buf_addf(out, "Aliases:\n    %s, %s\n\n", c->name, c->alias);
	if (rc == 0 && c->examples)
		rc = add_examples(program, c->examples, out);
	if (rc == 0 && c->opts)
		rc = add_set("Options", c->opts, out);
	if (rc == 0 && c->needs_pod)
		rc = add_set("Options of commands on a pod", pg_pod_opts, out);
	if (rc == 0)
		rc = add_set("General options", pg_general_opts, out);
	if (rc == 0 && c->needs_cluster)
		rc = add_set("Options of kubectl", pg_kube_opts, out);
	return rc;
}

static int program_help(const char *program, struct pg_buf *out)
{
	int rc = pg_text_wrap(
		"Grafts a small agent onto a live pod and connects it to this machine, "
		"without a restart and without anything installed in the cluster.",
		0, out);
	if (rc == 0)
		rc = pg_buf_addf(out, "\nUsage:\n    %s COMMAND [options]\n\nCommands:\n", program);
	for (const struct pg_command *const *c = pg_commands; *c && rc == 0; c++)
		if ((*c)->summary)
			rc = pg_buf_addf(out, "    %-12s %s\n", (*c)->name, (*c)->summary);
	if (rc == 0)
		rc = pg_buf_addf(
			out,
			"\n'%s COMMAND --help' tells more about a command and its options.\n"
			"kubectl's common options (--context, -n, ...) mean what they mean "
			"there.\n",
			program);
	return rc;
}

int pg_cli_help(const char *program, const struct pg_command *command, struct pg_buf *out)
{
	return command ? command_help(program, command, out) : program_help(program, out);
}
