#include "injector/commands.h"

static int run(struct pg_app *app, void *values, const struct pg_operands *ops, struct pg_err *err)
{
	struct pg_buf out = PG_BUF_INIT(64 << 10);
	const struct pg_command *c = NULL;
	(void)values;
	if (ops->count > 0) {
		c = pg_command_find(ops->items[0]);
		if (!c)
			return pg_cli_unknown(app->program, ops->items[0], err);
	}
	int rc = pg_cli_help(app->program, c, &out);
	if (rc == 0)
		pg_output_text(&app->out, pg_buf_str(&out));
	pg_buf_fini(&out);
	return rc < 0 ? pg_fail(err, rc, "print the help") : 0;
}

const struct pg_command pg_cmd_help = {
	.name = "help",
	.operands = "[COMMAND]",
	.summary = "Tell about podgraft or one of its commands",
	.examples = "% help redirect",
	.most = 1,
	.run = run,
};
