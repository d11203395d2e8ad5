#pragma once
#include "injector/kube_api.h"
#include "injector/platform.h"

/* The agents in the pods of a cluster, whoever grafted them: the platform's `agents`, `agent_log`
 * and `adopt`. */
int pg_kube_agents(struct pg_kube_api *api, const char *ns, const struct pg_agents_wish *wish,
		   void (*found)(void *ctx, const struct pg_agent_seen *agent), void *ctx,
		   struct pg_err *err);

/* Reads the agent that the ephemeral container `c` of `pod` is: false when it is none of ours, that
 * is, has other words than podgraft writes. Pure. */
bool pg_kube_agent_read(const json_t *pod, const json_t *c, struct pg_agent_seen *out);
