#pragma once
#include "injector/banner.h"
#include "injector/kube_api.h"

/* The log of one container. */

/* Follows the log of a container that runs, from its start, until the agent's first line is there;
 * what is not ready yet is asked again until `deadline_ms`. -EPROTO: the first line is something
 * else, which the message quotes; -EPROTONOSUPPORT: an agent of another version; -ENODATA: no
 * line yet (look at the container's state, and ask again); or as pg_kube_open(). */
int pg_kube_log_banner(struct pg_kube_api *api, const char *ns, const char *pod,
		       const char *container, uint64_t deadline_ms, struct pg_banner *out,
		       struct pg_err *err);

/* The log's last lines, joined by "; " and clean to print; "" when they cannot be had. */
void pg_kube_log_tail(struct pg_kube_api *api, const char *ns, const char *pod,
		      const char *container, char *out, size_t room);

/* Hands the log's last lines to `line`, as they are, as far as a few hundred KiB go. 0 also when
 * there is no log (any more); or as pg_kube_open(). */
int pg_kube_log_last(struct pg_kube_api *api, const char *ns, const char *pod,
		     const char *container, void (*line)(void *ctx, const char *text), void *ctx,
		     struct pg_err *err);

/* True for an answer that only means: not yet. Pure. */
bool pg_kube_log_is_early(const struct pg_kube_status *st);
