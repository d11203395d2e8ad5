#pragma once
#include "injector/cli.h"

/* What pg_general_opts and pg_kube_opts fill. */
struct pg_global_values {
	bool help, quiet;
	unsigned verbose;
	int format; /* enum pg_format */
	struct pg_kube_flags kube;
	struct pg_opt_list as_groups;
	uint64_t request_timeout_ms;
};

/* Hands the values to the app: flags, and how to print. `v` must live as long as it. */
void pg_global_apply(struct pg_global_values *v, struct pg_app *app);
