#pragma once
#include "injector/kube_api.h"
#include "injector/platform.h"
#include "injector/portfwd.h"

/* Opens lanes to ports of pods by what a cluster's path lets through. Of `auto`, what was refused
 * is left out for a day, by the state file, once another transport has worked instead. */
struct pg_kube_dialer {
	struct pg_kube_api *api; /* borrowed, as are the strings */
	const char *cluster, *state_dir;
	enum pg_transport wanted;
	enum pg_transport used; /* PG_TRANSPORT_AUTO before the first lane */
};

/* `transport` is "auto", "spdy", "tunnel", "websocket", or NULL for auto. -EINVAL (PG_USER) for
 * anything else. */
int pg_kube_dialer_init(struct pg_kube_dialer *d, struct pg_kube_api *api, const char *cluster,
			const char *state_dir, const char *transport, struct pg_err *err);

/* As pg_platform_ops.dial. */
int pg_kube_dial(struct pg_kube_dialer *d, const struct pg_pod *pod, uint16_t port,
		 struct pg_lane_events events, void *ctx, struct pg_lane **out, struct pg_err *err);
