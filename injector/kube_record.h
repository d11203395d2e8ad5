#pragma once
#include <jansson.h>

#include "injector/platform.h"
#include "injector/state.h"

/* The agents that this person has grafted into pods of Kubernetes, on record, against the pod as it
 * is: only these are ever used again. A record that cannot be read is an empty one. */
struct pg_kube_record {
	const char *dir; /* of the state; borrowed, as `log` is */
	const struct pg_log *log;
};

/* An agent of the record that runs in `pod`, seen as `seen`, and can do the job: true with *out. */
bool pg_kube_record_find(const struct pg_kube_record *r, const struct pg_pod *pod,
			 const struct pg_graft_spec *spec, const json_t *seen,
			 struct pg_graft *out);

/* The same for one that was asked for, by a command that did not see it start: true with its name.
 */
bool pg_kube_record_awaited(const struct pg_kube_record *r, const struct pg_pod *pod,
			    const struct pg_graft_spec *spec, const json_t *seen,
			    char name_out[PG_NAME_MAX + 1]);

/* The one of that name, whatever it is good for: true with port and key of *out. */
bool pg_kube_record_known(const struct pg_kube_record *r, const char *cluster, const char *uid,
			  const char *container, struct pg_graft *out);

/* Remembers an agent that listens, or, with port 0, that was asked for. One that is not on record
 * works just as well, and is only not found again: failing is a warning. */
void pg_kube_record_put(const struct pg_kube_record *r, const struct pg_pod *pod,
			const struct pg_graft_spec *spec, const struct pg_graft *graft);
void pg_kube_record_drop(const struct pg_kube_record *r, const char *uid, const char *container);
