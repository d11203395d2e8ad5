#include "injector/commands.h"

const struct pg_command *const pg_commands[] = {
	&pg_cmd_redirect,   &pg_cmd_ps,   &pg_cmd_inject,   &pg_cmd_plan,
	&pg_cmd_status,     &pg_cmd_undo, &pg_cmd_token,    &pg_cmd_version,
	&pg_cmd_completion, &pg_cmd_help, &pg_cmd_complete, NULL,
};
