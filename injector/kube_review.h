#pragma once
#include "injector/kube_api.h"

/* Who we are to the API server, and what we may do: its own reviews, which change nothing and which
 * every user who is logged in may ask for (the ClusterRole system:basic-user). */

/* Our user's name into `out`, clean to print; "" from a server before 1.28, which does not tell.
 * 0, or as pg_kube_call(). */
int pg_kube_whoami(struct pg_kube_api *api, char *out, size_t room, struct pg_err *err);

struct pg_kube_access {
	const char *ns, *verb;
	const char *resource; /* "pods", "pods/log", "deployments.apps" */
	const char *name;     /* of one object; "": any */
};

/* Whether we may: 0 with *allowed, or as pg_kube_call(). */
int pg_kube_may(struct pg_kube_api *api, const struct pg_kube_access *access, bool *allowed,
		struct pg_err *err);

/* The body of that request; the caller's. NULL: out of memory. Pure. */
char *pg_kube_access_text(const struct pg_kube_access *access);
