#pragma once
#include "injector/kube_api.h"
#include "injector/platform.h"

/* The addresses of a Service, as a pod dials them: its cluster IPs. -ENOENT: there is no such
 * Service, or it has no address of its own, with a hint. */
int pg_kube_service_addresses(struct pg_kube_api *api, const char *ns, const char *name,
			      struct pg_network out[PG_SERVICE_ADDRESSES], size_t *count_out,
			      struct pg_err *err);

/* The same of a Service object that was read. Pure. */
int pg_kube_service_parse(const json_t *service, const char *name,
			  struct pg_network out[PG_SERVICE_ADDRESSES], size_t *count_out,
			  struct pg_err *err);
