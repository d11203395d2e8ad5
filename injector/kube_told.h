#pragma once
#include "injector/kube_api.h"
#include "injector/platform.h"

/* What the kubelet's events tell about a container that does not start. They come at once, while
 * the pod's status follows the kubelet's next round, 10 to 15 s later. */
struct pg_kube_told {
	char reason[40];   /* as a status has it ("ErrImagePull"); "" while no trouble is known */
	char message[320]; /* one line */
	uint64_t next_ms;  /* when to look again; UINT64_MAX: never, as we may not */
};

/* Looks through a list of the events of ephemeral container `container`. Pure; does not touch
 * next_ms. */
void pg_kube_told_read(const json_t *list, const char *container, struct pg_kube_told *out);

/* Asks the API server, when it is time to. Failing is no failure: events are extra. */
void pg_kube_told_ask(struct pg_kube_api *api, const struct pg_pod *pod, const char *container,
		      struct pg_kube_told *t);
