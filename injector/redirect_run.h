#pragma once
#include "injector/cli.h"
#include "injector/pod_job.h"

/* The options of `redirect`. */
struct pg_redirect_values {
	struct pg_pod_values pod; /* first: pg_pod_opts fills it */
	const char *local_address;
	bool no_local, no_fallback, take_probes;
	bool all_pods, take_over, event;
	bool wire;
	int proxy;       /* enum pg_proxy_version */
	const char *uid; /* of --uid, or NULL */
	struct pg_opt_list outgoing, to;
};

/* Redirects one pod, that of `target` (NULL with a selector), until it is given back: by a signal,
 * by the end of "-- COMMAND", because it is gone for
 * good, or because others have taken over all of it. Returns the exit status, or a
 * negative errno. */
int pg_redirect_run(struct pg_app *app, const struct pg_redirect_values *values, const char *target,
		    const struct pg_operands *ops, struct pg_err *err);
