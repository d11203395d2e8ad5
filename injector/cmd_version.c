#include "injector/commands.h"
#include "proto/wire/hello.h"

static int run(struct pg_app *app, void *values, const struct pg_operands *ops, struct pg_err *err)
{
	(void)values;
	(void)ops;
	(void)err;
	pg_output_print(&app->out, "podgraft %s (protocol %d)", PG_VERSION, PG_PROTOCOL);
	pg_output_json(&app->out, json_pack("{s:{s:s, s:i}}", "client", "version", PG_VERSION,
					    "protocol", PG_PROTOCOL));
	return 0;
}

const struct pg_command pg_cmd_version = {
	.name = "version",
	.operands = "",
	.summary = "Print the version of this program and of the protocol it speaks",
	.examples = "% version\n% version -o json",
	.run = run,
};
