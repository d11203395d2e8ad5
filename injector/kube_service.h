#pragma once
#include "injector/kube_api.h"
#include "injector/platform.h"

/* A Service as a pod dials it: its cluster IPs, and its own ports there. -ENOENT: there is no such
 * Service, or it has no address of its own, with a hint. */
int pg_kube_service_get(struct pg_kube_api *api, const char *ns, const char *name,
			struct pg_service *out, struct pg_err *err);

/* The same of a Service object that was read. Pure. */
int pg_kube_service_parse(const json_t *service, const char *name, struct pg_service *out,
			  struct pg_err *err);
