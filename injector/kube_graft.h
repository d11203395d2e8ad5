#pragma once
#include <jansson.h>

#include "injector/kube_api.h"
#include "injector/platform.h"

/* Grafts an agent: adds the ephemeral container, waits until it runs, and reads from the first line
 * of its log where it listens. */

/* Adds the entry to `pod`, as it was resolved; all must be done at `deadline_ms` of
 * pg_loop_now_ms(). 0 with its name, and *seen_out the pod as it is then, the caller's; else a
 * message that says which step failed and what the cluster said, with a hint: -EACCES (RBAC,
 * PodSecurity, other admission), or as pg_kube_call(). */
int pg_kube_graft_ask(struct pg_kube_api *api, const struct pg_pod *pod,
		      const struct pg_graft_spec *spec, uint64_t deadline_ms,
		      char name_out[PG_NAME_MAX + 1], json_t **seen_out, struct pg_err *err);

/* Waits until the agent `name`, which was asked for now or by an earlier command, listens. `seen`
 * is the pod, not long ago, and is taken. 0 with *out filled; else as above: -ENOEXEC (image,
 * runtime), -ECHILD (the agent ended), -ESHUTDOWN (the pod goes away), -ETIMEDOUT, -EPROTO (no
 * agent's first line), -EPROTONOSUPPORT (of another version). *has_run is false when it may still
 * start, and is worth waiting for once more. */
int pg_kube_graft_await(struct pg_kube_api *api, const struct pg_pod *pod, const char *name,
			json_t *seen, uint64_t deadline_ms, struct pg_graft *out, bool *has_run,
			struct pg_err *err);

/* What the server would say to such a graft, by a dry run of the same patch: nothing is changed. 0,
 * or as pg_kube_graft() up to there; *refusal has the server's own words. */
int pg_kube_graft_try(struct pg_kube_api *api, const struct pg_pod *pod,
		      const struct pg_graft_spec *spec, uint64_t deadline_ms,
		      struct pg_kube_status *refusal, struct pg_err *err);
