#include "injector/kube_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "injector/kube_json.h"
#include "injector/kube_patch.h"
#include "injector/kube_start.h"
#include "proto/base/mem.h"

/* True when the recorded agent `a` is still there, nobody else's, and can do the job. */
static bool is_good_for(const struct pg_state_agent *a, const struct pg_pod *pod,
			const struct pg_graft_spec *spec, const json_t *seen)
{
	return strcmp(a->cluster, pod->cluster) == 0 && strcmp(a->uid, pod->uid) == 0 &&
	       strcmp(a->image, spec->image) == 0 && pg_profile_covers(a->profile, spec->profile) &&
	       pg_kube_patch_is_ours(seen, pod, spec, a->profile, a->container);
}

static void take(const struct pg_state_agent *a, struct pg_graft *out)
{
	*out = (struct pg_graft){ .port = a->port, .reused = true };
	memcpy(out->container, a->container, sizeof(out->container));
	memcpy(out->agent_key, a->agent_key, sizeof(out->agent_key));
}

bool pg_kube_record_find(const struct pg_kube_record *r, const struct pg_pod *pod,
			 const struct pg_graft_spec *spec, const json_t *seen, struct pg_graft *out)
{
	pg_auto_free struct pg_state *st = pg_state_load(r->dir, r->log);
	for (size_t i = st ? st->agent_count : 0; i > 0; i--) { /* the newest first */
		const struct pg_state_agent *a = &st->agents[i - 1];
		if (a->port == 0 || !is_good_for(a, pod, spec, seen) ||
		    !pg_kube_is_running(seen, a->container))
			continue;
		take(a, out);
		return true;
	}
	return false;
}

/* One that waits for an image that must not be pulled does so until the pod's end, whatever we
 * want of it now. */
static bool is_pulled_as_wished(const json_t *seen, const struct pg_graft_spec *spec,
				const char *container)
{
	const json_t *c = pg_json_find(seen, "spec.ephemeralContainers", "name", container);
	const char *policy = pg_json_str(c, "imagePullPolicy");
	return spec->pull_policy ? strcmp(policy, spec->pull_policy) == 0
				 : strcmp(policy, "Never") != 0;
}

bool pg_kube_record_awaited(const struct pg_kube_record *r, const struct pg_pod *pod,
			    const struct pg_graft_spec *spec, const json_t *seen,
			    char name_out[PG_NAME_MAX + 1])
{
	pg_auto_free struct pg_state *st = pg_state_load(r->dir, r->log);
	for (size_t i = st ? st->agent_count : 0; i > 0; i--) {
		const struct pg_state_agent *a = &st->agents[i - 1];
		if (a->port != 0 || a->profile != spec->profile ||
		    !is_good_for(a, pod, spec, seen) || !pg_kube_may_start(seen, a->container) ||
		    !is_pulled_as_wished(seen, spec, a->container))
			continue;
		memcpy(name_out, a->container, sizeof(a->container));
		return true;
	}
	return false;
}

bool pg_kube_record_known(const struct pg_kube_record *r, const char *cluster, const char *uid,
			  const char *container, struct pg_graft *out)
{
	pg_auto_free struct pg_state *st = pg_state_load(r->dir, r->log);
	for (size_t i = st ? st->agent_count : 0; i > 0; i--) {
		const struct pg_state_agent *a = &st->agents[i - 1];
		if (a->port == 0 || strcmp(a->cluster, cluster) != 0 || strcmp(a->uid, uid) != 0 ||
		    strcmp(a->container, container) != 0)
			continue;
		take(a, out);
		return true;
	}
	return false;
}

static void put_agent(void *ctx, struct pg_state *st)
{
	const struct pg_state_agent *a = ctx;
	pg_state_reached(st, a->cluster);
	pg_state_put(st, a);
}

void pg_kube_record_put(const struct pg_kube_record *r, const struct pg_pod *pod,
			const struct pg_graft_spec *spec, const struct pg_graft *graft)
{
	struct pg_err err = { .code = 0 };
	struct pg_state_agent a = {
		.profile = spec->profile,
		.port = graft->port,
		.created_s = (int64_t)time(NULL),
	};
	snprintf(a.cluster, sizeof(a.cluster), "%s", pod->cluster);
	snprintf(a.image, sizeof(a.image), "%s", spec->image);
	memcpy(a.uid, pod->uid, sizeof(a.uid));
	memcpy(a.ns, pod->ns, sizeof(a.ns));
	memcpy(a.pod, pod->name, sizeof(a.pod));
	memcpy(a.container, graft->container, sizeof(a.container));
	memcpy(a.agent_key, graft->agent_key, sizeof(a.agent_key));
	if (pg_state_change(r->dir, put_agent, &a, r->log, &err) < 0)
		pg_log(r->log, PG_WARN, "%s: the next command will graft another agent", err.what);
}

struct agent_id {
	const char *uid, *container;
};

static void drop_agent(void *ctx, struct pg_state *st)
{
	const struct agent_id *id = ctx;
	pg_state_drop(st, id->uid, id->container);
}

void pg_kube_record_drop(const struct pg_kube_record *r, const char *uid, const char *container)
{
	struct pg_err err = { .code = 0 };
	struct agent_id id = { uid, container };
	if (pg_state_change(r->dir, drop_agent, &id, r->log, &err) < 0)
		pg_log(r->log, PG_WARN, "%s", err.what);
}
