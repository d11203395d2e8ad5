#pragma once
#include "injector/kube_api.h"

/* Pods as they change, one event after the other, for straight-line code. Behind it a watch, which
 * is opened again when it ends and restarted from a fresh reading when the server has forgotten its
 * version. Without the right to watch, or behind a proxy that buffers, a reading each second of one
 * pod, each two seconds of several. Whether a silent watch is late is found by a reading, too:
 * after two seconds for one pod, after ten, then twenty, forty and each sixty for several. A pod
 * that a complete list does not have any more is told as gone. */
struct pg_kube_watch;

enum pg_kube_change {
	PG_KUBE_CHANGED, /* this is how the pod is now */
	PG_KUBE_GONE,    /* it was deleted. Of one pod NULL comes with it; else maybe the name and
			    uid alone */
};

/* Watches one pod by `name`, or those that match `label_selector` (its text, not encoded): the
 * other is NULL. `rv` is the resourceVersion from which on changes count, or "": then all that
 * there are come first. No request yet. The watch
 * ends itself at `until_ms` of pg_loop_now_ms(). NULL: out of memory. `api` is borrowed. */
struct pg_kube_watch *pg_kube_watch_new(struct pg_kube_api *api, const char *ns, const char *name,
					const char *label_selector, const char *rv,
					uint64_t until_ms);
void pg_kube_watch_free(struct pg_kube_watch *w);

/* Waits for the next change: 0 with *change and *pod_out, which is the caller's; -ETIMEDOUT at
 * `deadline_ms` (the watch lives on); or why it cannot go on. A list of pods that is on its way
 * then is waited for all the same, 15 s at most. */
int pg_kube_watch_next(struct pg_kube_watch *w, uint64_t deadline_ms, enum pg_kube_change *change,
		       json_t **pod_out, struct pg_err *err);

/* True when the next change is there already, as of a list that is told pod by pod. */
bool pg_kube_watch_has_more(const struct pg_kube_watch *w);

/* One line of a watch. Pure. */
enum pg_kube_event_type {
	PG_KUBE_EV_CHANGED, /* ADDED, MODIFIED */
	PG_KUBE_EV_DELETED,
	PG_KUBE_EV_BOOKMARK, /* only `rv` counts */
	PG_KUBE_EV_ERROR,    /* `status` says what */
	PG_KUBE_EV_OTHER,    /* a type we do not know: skip it */
};
struct pg_kube_event {
	enum pg_kube_event_type type;
	json_t *object; /* owned; NULL for BOOKMARK and ERROR */
	char rv[64];    /* resourceVersion of the object */
	struct pg_kube_status status;
};
/* 0, or -EPROTO for a line that is no event; then *out is untouched. */
int pg_kube_event_parse(const char *line, struct pg_kube_event *out);
