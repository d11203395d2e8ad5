#pragma once
#include "injector/kube_api.h"
#include "injector/platform.h"

/* The pods of a target as they come and go: the platform's follow, next and unfollow. */
int pg_kube_follow(struct pg_kube_api *api, const char *ns, const struct pg_target_spec *spec,
		   struct pg_pod_follow **out, struct pg_err *err);
int pg_kube_follow_next(struct pg_pod_follow *f, uint64_t deadline_ms, struct pg_pod_change *out,
			struct pg_err *err);
void pg_kube_follow_free(struct pg_pod_follow *f);
