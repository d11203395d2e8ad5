#pragma once
#include <stdint.h>

#include "injector/kube_api.h"
#include "injector/platform.h"

/* Events of the core API, as `kubectl describe pod` shows them: the platform's `note`. */
int pg_kube_event(struct pg_kube_api *api, const struct pg_pod *pod, const char *reason,
		  const char *message, struct pg_err *err);

/* The object for it, at `now_s` of Unix time; the caller frees it. NULL: out of memory. Pure. */
char *pg_kube_event_text(const struct pg_pod *pod, const char *reason, const char *message,
			 int64_t now_s);
