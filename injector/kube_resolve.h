#pragma once
#include "injector/kube_api.h"
#include "injector/platform.h"
#include "injector/target.h"

/* RBAC's name for the objects of that kind: "deployments.apps". Static. */
const char *pg_kube_kind_rbac(enum pg_target_kind kind);

/* Finds the pod that a person means, the way kubectl does: the pod of that name, or the best of
 * those that a workload, a Service or a selector selects; waits up to spec->wait_ms for one to
 * appear, and to be scheduled. Fills *out less its cluster, and hands over the pod's JSON in
 * *pod_out. Fails with -EINVAL (PG_USER: target or selector), -ENOENT (no such thing, or a pod of
 * that name that has ended), -ETIMEDOUT (none appeared), -ESHUTDOWN (the best one has ended, or is
 * being deleted), or as pg_kube_call(). */
int pg_kube_resolve_pod(struct pg_kube_api *api, const char *ns, const struct pg_target_spec *spec,
			struct pg_pod *out, json_t **pod_out, struct pg_err *err);

/* The label selector, as text, of all pods that the target or selector of `spec` names. -EINVAL
 * (PG_USER) when that is one pod by its name; else as above. */
int pg_kube_resolve_selector(struct pg_kube_api *api, const char *ns,
			     const struct pg_target_spec *spec, struct pg_buf *out,
			     struct pg_err *err);
