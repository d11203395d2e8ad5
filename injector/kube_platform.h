#pragma once
#include "injector/credential.h"
#include "injector/kubeconfig.h"
#include "injector/platform.h"
#include "proto/base/log.h"

/* The Kubernetes platform: pods of a cluster, reached through its API server. */

/* The image that is grafted unless the person names another: one agent for each injector. */
#define PG_KUBE_IMAGE "docker.io/podgraft/agent:" PG_VERSION

struct pg_kube_options {
	const char *transport; /* "auto", "spdy", "tunnel" or "websocket"; NULL: auto */
	const struct pg_credential_source *credentials; /* instead of a plugin's; NULL; borrowed */
	uint64_t start_ms; /* for an agent to pull, start and listen; 0: 60 s */
};

/* NULL with *err set: a bad kubeconfig or flag (PG_USER, PG_CLUSTER), an unknown transport, no
 * state directory. `loop` and `log` are borrowed for the life of the result, `flags` and `options`
 * for the call. Ended by ops->close(). No request is sent yet. */
struct pg_platform *pg_kubernetes_new(struct pg_loop *loop, const struct pg_kube_flags *flags,
				      const struct pg_kube_options *options,
				      const struct pg_log *log, struct pg_err *err);
