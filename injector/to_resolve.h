#pragma once
#include "injector/pod_job.h"
#include "injector/wants.h"

/* From the words of --to to addresses, before a pod is touched. A Service is asked of the API
 * server (its cluster IPs: what the pod dials); a host of this machine's resolver, since an agent
 * has no files of the pod's to know its resolver by; the person is told what came of it. `wants`
 * are the ports that it is for. */
int pg_to_resolve(const struct pg_pod_job *job, const struct pg_opt_list *words,
		  const struct pg_wants *wants, struct pg_redirect_scope *scope,
		  struct pg_err *err);

/* Whether any of the outgoing ports among `wants` is one at which pods dial Service `name`: 0, also
 * where not all of its ports are known. Otherwise nothing would ever come of it: -ENOENT with a
 * hint that names those that it has. Pure. */
int pg_to_check_ports(const struct pg_service *service, const char *name,
		      const struct pg_wants *wants, struct pg_err *err);
