#include "injector/kube_follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_json.h"
#include "injector/kube_pod.h"
#include "injector/kube_resolve.h"
#include "injector/kube_watch.h"
#include "proto/base/mem.h"

enum { SELECTOR_MAX = 4096 };

struct pg_pod_follow {
	struct pg_kube_watch *watch;
};

int pg_kube_follow(struct pg_kube_api *api, const char *ns, const struct pg_target_spec *spec,
		   struct pg_pod_follow **out, struct pg_err *err)
{
	struct pg_buf selector = PG_BUF_INIT(SELECTOR_MAX);
	int rc = pg_kube_resolve_selector(api, ns, spec, &selector, err);
	struct pg_pod_follow *f = rc == 0 ? pg_calloc(1, sizeof(*f)) : NULL;
	if (f)
		f->watch = pg_kube_watch_new(api, ns, NULL, pg_buf_str(&selector), "", UINT64_MAX);
	pg_buf_fini(&selector);
	if (rc < 0)
		return rc;
	if (!f || !f->watch) {
		free(f);
		return pg_fail(err, -ENOMEM, "follow the pods");
	}
	*out = f;
	return 0;
}

/* A pod can be used as soon as one of its containers has started: probes need not pass. */
static bool is_usable(const json_t *pod)
{
	return pg_kube_pod_life(pod) == PG_KUBE_LIVE &&
	       strcmp(pg_json_str(pod, "status.phase"), "Running") == 0;
}

int pg_kube_follow_next(struct pg_pod_follow *f, uint64_t deadline_ms, struct pg_pod_change *out,
			struct pg_err *err)
{
	for (;;) {
		enum pg_kube_change change;
		json_t *pod = NULL;
		int rc = pg_kube_watch_next(f->watch, deadline_ms, &change, &pod, err);
		if (rc < 0)
			return rc;
		bool has_ended = pg_kube_pod_life(pod) == PG_KUBE_FINISHED;
		*out = (struct pg_pod_change){ .is_gone = change == PG_KUBE_GONE || has_ended,
					       .is_usable = is_usable(pod) };
		bool is_pod = pg_json_copy(pod, "metadata.name", out->name, sizeof(out->name)) &&
			      pg_json_copy(pod, "metadata.uid", out->uid, sizeof(out->uid));
		json_decref(pod);
		out->has_more = pg_kube_watch_has_more(f->watch);
		if (is_pod)
			return 0;
	}
}

void pg_kube_follow_free(struct pg_pod_follow *f)
{
	if (!f)
		return;
	pg_kube_watch_free(f->watch);
	free(f);
}
