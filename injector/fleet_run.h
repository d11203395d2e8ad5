#pragma once
#include "injector/redirect_run.h"

/* Redirects every pod of `target` (NULL with a selector), and those that join it later, until a
 * signal or the end of "-- COMMAND". As pg_redirect_run(): the status is 0 after a signal as long
 * as any of them was redirected. */
int pg_fleet_run(struct pg_app *app, const struct pg_redirect_values *values, const char *target,
		 const struct pg_operands *ops, struct pg_err *err);
