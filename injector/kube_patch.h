#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "injector/platform.h"

/* The ephemeral container of an agent, as we write it into a pod and find it there again. Pure. */

/* Refuses what the kubelet could only ever refuse, before an entry that cannot be removed stands in
 * the pod: -EINVAL (PG_USER) for an image or a pull policy that is none. */
int pg_kube_patch_check(const struct pg_graft_spec *spec, struct pg_err *err);

/* A fresh container name, "podgraft-" and five letters or digits of Kubernetes' own alphabet. */
void pg_kube_patch_name(char out[PG_NAME_MAX + 1]);

/* The strategic merge patch for pods/ephemeralcontainers that adds the agent `name` to `pod`: the
 * least privileges for spec->profile (design 3.3), guarded by the pod's uid. The text is the
 * caller's. NULL: out of memory. */
char *pg_kube_patch_text(const struct pg_pod *pod, const struct pg_graft_spec *spec,
			 const char *name);

/* The capabilities of a profile, without "CAP_", NULL-terminated. */
const char *const *pg_kube_patch_caps(enum pg_profile profile);

/* Whether admission left to the container `name`, in the pod's JSON, what `profile` needs: 0, or
 * -EACCES (PG_CLUSTER) when it took a capability or made it run as somebody else. */
int pg_kube_patch_kept(const json_t *pod_json, enum pg_profile profile, const char *name,
		       struct pg_err *err);

/* True when the pod's JSON holds the container `name` with exactly our key, pod, name, image and,
 * where the profile has one, target: what nobody but we, or somebody with our key's public half
 * and the right to patch, can have put there. Container entries are immutable. */
bool pg_kube_patch_is_ours(const json_t *pod_json, const struct pg_pod *pod,
			   const struct pg_graft_spec *spec, enum pg_profile profile,
			   const char *name);
