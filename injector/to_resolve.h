#pragma once
#include "injector/output.h"
#include "injector/platform.h"
#include "injector/redirect.h"
#include "proto/base/opt.h"

/* From the words of --to to addresses, before a pod is touched. A Service is asked of the API
 * server (its cluster IPs: what the pod dials); a host of this machine's resolver, since an agent
 * has no files of the pod's to know its resolver by; the person is told what came of it. */
int pg_to_resolve(struct pg_loop *loop, struct pg_platform *platform, const char *pod_ns,
		  const struct pg_opt_list *words, struct pg_output *out,
		  struct pg_redirect_scope *scope, struct pg_err *err);
