#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "injector/platform.h"

/* Pods and Services as JSON of the API server, read into our own structs. Pure. */

/* What kubectl compares when it must choose one of several pods. Times are RFC 3339 in UTC with
 * seconds, as the server writes them, so that text order is time order; "" is absent. */
struct pg_kube_rank {
	bool assigned; /* to a node */
	int phase;     /* 2 Running, 1 Unknown, 0 any other */
	bool ready;
	char ready_since[32];
	char deleted[32]; /* "": not deleting */
	int64_t restarts, sidecar_restarts;
	char created[32];
	char name[254];
};

void pg_kube_rank_read(const json_t *pod, struct pg_kube_rank *out);

/* Below 0 when `a` is the better choice, above when `b` is; kubectl's order (podutils.ActivePods
 * reversed), ties broken by name. 0 only for equal names. */
int pg_kube_rank_compare(const struct pg_kube_rank *a, const struct pg_kube_rank *b);

/* What can be done with a pod. */
enum pg_kube_life {
	PG_KUBE_LIVE,
	PG_KUBE_UNSCHEDULED, /* Pending, and on no node yet */
	PG_KUBE_DELETING,
	PG_KUBE_FINISHED, /* Succeeded or Failed: the kubelet starts nothing in it any more */
};
enum pg_kube_life pg_kube_pod_life(const json_t *pod);

/* Fills *out from a pod, less cluster, others and service ports; `container` is -c's, or NULL.
 * -ENOENT (PG_TARGET) when no such container is there, naming those that are; -EPROTO for
 * something that is no pod. */
int pg_kube_pod_read(const json_t *pod, const char *container, struct pg_pod *out,
		     struct pg_err *err);

/* Adds a Service's TCP ports to *out, which holds the pod, mapped to the pod's as kubectl does it:
 * a headless Service's are the pod's own. A named targetPort that the pod lacks gives 0. */
void pg_kube_service_read(const json_t *service, struct pg_pod *out);
