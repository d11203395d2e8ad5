#pragma once
#include "injector/cli.h"

/* One per cmd_*.c; the order in which they are listed is that of commands.c. */
extern const struct pg_command pg_cmd_version, pg_cmd_completion, pg_cmd_complete, pg_cmd_help,
	pg_cmd_redirect, pg_cmd_ps, pg_cmd_inject, pg_cmd_token, pg_cmd_status, pg_cmd_undo,
	pg_cmd_plan;
