#pragma once
#include "injector/cli.h"
#include "injector/platform.h"

/* What every command on a pod does first: reach the cluster, choose the pod, know the person's key;
 * and the options that go with it. */
struct pg_pod_values {
	const char *selector, *container, *image;
	int pull_policy, profile, transport;
	uint64_t idle_ms, memory_bytes, pod_wait_ms;
};

extern const char *const pg_pull_policies[], *const pg_transports[], *const pg_profiles[];

/* The rows of these options, for the table of a command whose struct `type` has a struct
 * pg_pod_values `member`. */
#define PG_POD_OPTS(type, member)                                                                 \
	{ .name = "container",                                                                    \
	  .alias = "target",                                                                      \
	  .letter = 'c',                                                                          \
	  .kind = PG_OPT_TEXT,                                                                    \
	  .argument = "NAME",                                                                     \
	  .help = "Container of the pod; without it the default one, else the first.",            \
	  .at = offsetof(type, member.container) },                                               \
		{ .name = "selector",                                                             \
		  .letter = 'l',                                                                  \
		  .kind = PG_OPT_TEXT,                                                            \
		  .argument = "SELECTOR",                                                         \
		  .help = "Choose the pod by its labels instead of by name.",                     \
		  .at = offsetof(type, member.selector) },                                        \
		{ .name = "image",                                                                \
		  .kind = PG_OPT_TEXT,                                                            \
		  .argument = "IMAGE",                                                            \
		  .standard = PG_DEFAULT_IMAGE,                                                   \
		  .env = "PODGRAFT_IMAGE",                                                        \
		  .help = "Image of the agent that is grafted.",                                  \
		  .at = offsetof(type, member.image) },                                           \
		{ .name = "pull-policy",                                                          \
		  .alias = "image-pull-policy",                                                   \
		  .kind = PG_OPT_CHOICE,                                                          \
		  .argument = "POLICY",                                                           \
		  .standard = "IfNotPresent",                                                     \
		  .choices = pg_pull_policies,                                                    \
		  .help = "When the node pulls that image: Always, IfNotPresent or Never.",       \
		  .at = offsetof(type, member.pull_policy) },                                     \
		{ .name = "profile",                                                              \
		  .kind = PG_OPT_CHOICE,                                                          \
		  .argument = "NAME",                                                             \
		  .standard = "auto",                                                             \
		  .choices = pg_profiles,                                                         \
		  .help = "What the agent may do: redirect, forward, inspect; auto is the least " \
			  "for the job.",                                                         \
		  .at = offsetof(type, member.profile) },                                         \
		{ .name = "idle",                                                                 \
		  .kind = PG_OPT_DURATION,                                                        \
		  .argument = "DURATION",                                                         \
		  .standard = "30m",                                                              \
		  .lo = 1000,                                                                     \
		  .hi = 7ull * 24 * 3600 * 1000,                                                  \
		  .help = "How long a new agent lives without a session.",                        \
		  .at = offsetof(type, member.idle_ms) },                                         \
		{ .name = "memory",                                                               \
		  .kind = PG_OPT_SIZE,                                                            \
		  .argument = "SIZE",                                                             \
		  .standard = "64Mi",                                                             \
		  .lo = 20ull << 20,                                                              \
		  .hi = 64ull << 30,                                                              \
		  .help = "What the connections of a new agent may hold in memory.",              \
		  .at = offsetof(type, member.memory_bytes) },                                    \
		{ .name = "pod-running-timeout",                                                  \
		  .kind = PG_OPT_DURATION,                                                        \
		  .argument = "DURATION",                                                         \
		  .standard = "1m",                                                               \
		  .help = "How long to wait for a pod to appear and run.",                        \
		  .at = offsetof(type, member.pod_wait_ms) },                                     \
	{                                                                                         \
		.name = "transport", .kind = PG_OPT_CHOICE, .argument = "NAME",                   \
		.standard = "auto", .choices = pg_transports,                                     \
		.help = "How to reach the agent: spdy, tunnel, websocket; auto tries them in "    \
			"this order.",                                                            \
		.at = offsetof(type, member.transport)                                            \
	}

#define PG_DEFAULT_IMAGE "docker.io/podgraft/agent:" PG_VERSION

struct pg_pod_job {
	struct pg_app *app;
	struct pg_platform *platform;
	struct pg_pod pod;
	struct pg_keys keys;
	struct pg_graft_spec spec;
};

/* Reaches the cluster, resolves `target` (NULL with a selector) and says which pod it is. The
 * profile is `least` unless the person chose one. On failure nothing needs to be ended. */
int pg_pod_job_begin(struct pg_app *app, const struct pg_pod_values *values, const char *target,
		     enum pg_profile least, struct pg_pod_job *out, struct pg_err *err);
void pg_pod_job_end(struct pg_pod_job *job);
