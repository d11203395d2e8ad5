#pragma once
#include <jansson.h>

#include "injector/pod_probes.h"

/* Reads the probes of a pod's containers, sidecars included, and its node's addresses, from the
 * pod's JSON. What is malformed, or exceeds the room, is left out. Pure. */
void pg_kube_probes_read(const json_t *pod, struct pg_pod_probes *out);
