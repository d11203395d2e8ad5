#pragma once
#include "injector/cli.h"
#include "injector/platform.h"

/* What every command on a pod does first: reach the cluster, choose the pod, know the person's key.
 */

/* What pg_pod_opts fills: the beginning of each such command's values. The last three hold indexes
 * into the tables below. */
struct pg_pod_values {
	const char *selector, *container, *image;
	const char *only; /* of many pods, the one of this name; hidden, for our own use */
	uint64_t idle_ms, memory_bytes, pod_wait_ms;
	int pull_policy, profile, transport;
};

extern const char *const pg_pull_policies[], *const pg_profiles[], *const pg_transports[];

struct pg_pod_job {
	struct pg_app *app;
	struct pg_platform *platform;
	struct pg_target_spec target;
	struct pg_pod pod;
	struct pg_keys keys;
	struct pg_graft_spec spec;
};

/* Reads the words and prepares the way to the cluster; makes no request and no key; out->pod is
 * unknown. On failure of these three nothing needs to be ended. */
int pg_pod_job_open(struct pg_app *app, const struct pg_pod_values *values, const char *target,
		    enum pg_profile least, struct pg_pod_job *out, struct pg_err *err);

/* Tells people which pod it became: nothing when they named it. */
void pg_pod_job_say_which(const struct pg_pod_job *job);

/* The same with the person's key, for a command on many pods. */
int pg_pod_job_reach(struct pg_app *app, const struct pg_pod_values *values, const char *target,
		     struct pg_pod_job *out, struct pg_err *err);

/* The same, then resolves `target` (NULL with a selector) and says which pod it is. The profile is
 * `least` unless the person chose one. */
int pg_pod_job_begin(struct pg_app *app, const struct pg_pod_values *values, const char *target,
		     enum pg_profile least, struct pg_pod_job *out, struct pg_err *err);

/* Resolves the target again, for a pod that may have gone: another one of the same owner may have
 * taken its place. Says so when it is another. */
int pg_pod_job_again(struct pg_pod_job *job, struct pg_err *err);
void pg_pod_job_end(struct pg_pod_job *job);
