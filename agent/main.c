#include <errno.h>
#include <stdio.h>

#include "agent/agent.h"
#include "agent/config.h"
#include "agent/privs.h"
#include "proto/base/log.h"
#include "proto/wire/auth.h"

/* The agent's standard output is the container's log: the banner first, then who did what. */

static int print_help(void)
{
	struct pg_buf text = PG_BUF_INIT(64 << 10);
	struct pg_opt_set set = { "Options", pg_agent_opts, NULL };
	int rc = pg_buf_add_str(
		&text, "podgraft's half inside a pod. podgraft starts it; people need not.\n\n"
		       "Usage:\n  podgraft-agent agent [options]\n\n");
	if (rc == 0)
		rc = pg_opts_help(&set, &text);
	fputs(pg_buf_str(&text), stdout);
	pg_buf_fini(&text);
	return rc < 0;
}

static int serve(const struct pg_agent_config *config, const struct pg_log *log, struct pg_err *err)
{
	struct pg_agent *agent;
	struct pg_loop *loop = pg_loop_new(err);
	if (!loop)
		return err->code;
	pg_loop_many_files(loop, true); /* two for each connection that the app serves after all */
	int rc = pg_agent_new(loop, log, config, &agent, err);
	if (rc == 0) {
		pg_agent_run(agent);
		pg_agent_free(agent);
	}
	pg_loop_free(loop);
	return rc;
}

int main(int argc, char **argv)
{
	struct pg_err err = { 0 };
	struct pg_agent_options options;
	struct pg_agent_config config;
	struct pg_log log = { .level = PG_INFO, .to = stdout, .prefix = "podgraft-agent: " };
	pg_privs_harden();
	int rc = pg_agent_options_read(argc - 1, argv + 1, &options, &err);
	if (rc == 0 && options.help)
		return print_help();
	if (rc == 0 && options.version)
		return printf("podgraft-agent %s\n", PG_VERSION) < 0;
	if (rc == 0)
		rc = pg_agent_options_config(&options, &config, &err);
	if (rc == 0 && pg_auth_init() < 0)
		rc = pg_fail(&err, -EIO, "this machine has no randomness.");
	if (rc == 0)
		rc = pg_privs_confine(&err);
	if (rc == 0)
		rc = serve(&config, &log, &err);
	if (rc == 0)
		return 0;
	pg_log(&log, PG_ERROR, "%s%s%s", err.what, err.hint[0] ? "; hint: " : "", err.hint);
	return pg_err_exit(&err);
}
