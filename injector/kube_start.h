#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "injector/kube_told.h"
#include "proto/base/err.h"

/* How far the start of an ephemeral container has come, by the pod's status, and when waiting for
 * it makes no more sense (wire reference: waiting until it runs). Pure: the time is an argument. */

enum pg_kube_step {
	PG_KUBE_WAITING, /* look again when the pod changes, and at recheck_ms */
	PG_KUBE_RUNNING,
	PG_KUBE_ENDED, /* it ran and ended, or never could; *err says so, its log may say more */
	PG_KUBE_STUCK, /* what it waits for will not come; *err says what, and what to do */
};

/* One start, watched. Zeroed at first, less `container`, which is borrowed. */
struct pg_kube_start {
	const char *container;
	struct pg_kube_told told; /* counts while the status names no trouble */
	char seen[512];      /* "ErrImagePull: message": the last trouble, to tell a new sight by */
	char detail[320];    /* the message that says most about it */
	int sort;            /* of trouble: 0 none, else one of our own */
	unsigned sights;     /* different ones of this sort */
	uint64_t since_ms;   /* first of this sort */
	uint64_t recheck_ms; /* the same pod is judged otherwise from then on; 0: never */
	char waiting_for[200];    /* for a status line: "the image (ErrImagePull: ...)" */
	bool is_known_to_kubelet; /* the status has an entry for it */
};

/* Judges the pod as it is at `now_ms`. */
enum pg_kube_step pg_kube_start_judge(struct pg_kube_start *s, const json_t *pod, uint64_t now_ms,
				      struct pg_err *err);

/* True when the container runs, by the pod's status. */
bool pg_kube_is_running(const json_t *pod, const char *container);

/* True when the container, one of the pod's spec, runs or may do so yet. */
bool pg_kube_may_start(const json_t *pod, const char *container);

/* Adds what can be done about `message`, of a runtime, a registry or a program that should have
 * been an agent: `otherwise` when we do not know better. Returns err->code. */
int pg_kube_start_hint(const char *message, const char *otherwise, struct pg_err *err);
