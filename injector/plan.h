#pragma once
#include <jansson.h>

#include "injector/platform.h"
#include "proto/base/buf.h"

/* What would happen if an agent were grafted: facts, which a platform gathers without changing
 * anything (pg_platform_ops.plan), and what follows from them. All functions here are pure. */

enum pg_plan_answer { PG_PLAN_UNKNOWN, PG_PLAN_YES, PG_PLAN_NO };

/* One right in the pod's namespace, in RBAC's words. */
struct pg_plan_right {
	const char *verb;     /* "patch" */
	const char *resource; /* "pods/ephemeralcontainers", "deployments.apps"; static */
	const char *purpose;  /* what it is for: "to graft the agent" */
	bool is_needed;       /* nothing goes without it; else it only helps */
	enum pg_plan_answer granted;
};

/* What the cluster says to an agent of one profile. */
struct pg_plan_profile {
	enum pg_plan_answer answer;
	bool is_pod_security; /* PodSecurity refuses it: a label of the namespace would allow it */
	struct pg_err why;    /* unless the answer is yes */
};

enum { PG_PLAN_RIGHTS = 16 };

/* Texts are clean to print, and "" where nobody may know. */
struct pg_plan {
	char ns[PG_NAME_MAX + 1];
	char user[256]; /* as whom the server knows us */
	bool is_pod_known;
	struct pg_pod pod;       /* when it is known */
	char phase[32];          /* of the pod: "Running" */
	char runtime_class[64];  /* of the pod: "gvisor" */
	char os[32], arch[32];   /* of its node: "linux", "amd64" */
	char kernel[64];         /* "6.1.0-18-amd64" */
	char runtime[64];        /* "containerd://1.7.13" */
	bool is_namespace_known; /* may its labels be read? */
	char enforce[32];        /* its pod-security.kubernetes.io/enforce label */
	struct pg_plan_right rights[PG_PLAN_RIGHTS];
	size_t right_count;
	struct pg_plan_profile profiles[PG_PROFILE_COUNT];
	enum pg_plan_answer way; /* does a port-forward get through? unknown: it was not tried */
	struct pg_err way_err;   /* why it does not */
};

/* Whether an agent of that profile would come to work. Unless it would, *err says why not, whose
 * business that is, and what helps; err may be NULL. */
enum pg_plan_answer pg_plan_judge(const struct pg_plan *plan, enum pg_profile profile,
				  struct pg_err *err);

/* True when a right is missing without which nothing goes. */
bool pg_plan_lacks_right(const struct pg_plan *plan);

/* "no", "yes", "unknown" */
const char *pg_plan_answer_name(enum pg_plan_answer answer);

/* What an administrator would have to allow for that profile, as YAML for "kubectl apply -f -": a
 * Role and its binding with the rights that are missing, the namespace's label where PodSecurity
 * refuses. Adds nothing when that would not help, or is not needed. 0, -ENOBUFS, -ENOMEM. */
int pg_plan_manifest(const struct pg_plan *plan, enum pg_profile profile, struct pg_buf *out);

/* The lowest Linux whose nf_tables are enough: "4.19". True for a version that we cannot read. */
bool pg_plan_kernel_is_enough(const char *kernel);
