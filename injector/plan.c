#include "injector/plan.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/num.h"

enum { KERNEL_MAJOR = 4, KERNEL_MINOR = 19 };

const char *pg_plan_answer_name(enum pg_plan_answer answer)
{
	static const char *const names[] = {
		[PG_PLAN_UNKNOWN] = "unknown", [PG_PLAN_YES] = "yes", [PG_PLAN_NO] = "no"
	};
	assert(answer < PG_LEN(names));
	return names[answer];
}

bool pg_plan_kernel_is_enough(const char *kernel)
{
	static const char digits[] = "0123456789";
	uint64_t major, minor;
	size_t n = strspn(kernel, digits);
	if (kernel[n] != '.' || pg_parse_u64n(kernel, n, 0, 1000, &major) < 0)
		return true;
	kernel += n + 1;
	if (pg_parse_u64n(kernel, strspn(kernel, digits), 0, 1000, &minor) < 0)
		return true;
	return major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR);
}

/* Whether the pod and its node can have such an agent at all: what no administrator can allow. */
static int check_place(const struct pg_plan *p, enum pg_profile profile, struct pg_err *err)
{
	if (p->os[0] && strcmp(p->os, "linux") != 0) {
		pg_fail(err, -EOPNOTSUPP, "pod '%s' is on a node with %s: the agent runs on Linux.",
			p->pod.name, p->os);
		return pg_hint(err, PG_TARGET, "choose a pod on a Linux node");
	}
	if (profile != PG_PROFILE_REDIRECT || !p->is_pod_known)
		return 0;
	int rc = pg_pod_check_network(&p->pod, profile, err);
	if (rc < 0 || pg_plan_kernel_is_enough(p->kernel))
		return rc;
	pg_fail(err, -EOPNOTSUPP, "node '%s' has Linux %s, and redirects need %d.%d.", p->pod.node,
		p->kernel, KERNEL_MAJOR, KERNEL_MINOR);
	return pg_hint(err, PG_TARGET,
		       "choose a pod on another node; ps, and inject --profile forward, work on "
		       "this one");
}

/* "get pods/log, patch pods/ephemeralcontainers": the rights that are needed, and are not given or
 * not known. Returns their number. */
static size_t list_rights(const struct pg_plan *p, enum pg_plan_answer granted, char *out,
			  size_t room)
{
	size_t count = 0, used = 0;
	out[0] = '\0';
	for (size_t i = 0; i < p->right_count; i++) {
		const struct pg_plan_right *r = &p->rights[i];
		if (!r->is_needed || r->granted != granted)
			continue;
		int n = snprintf(out + used, room - used, "%s%s %s", count ? ", " : "", r->verb,
				 r->resource);
		used = n < 0 || (size_t)n >= room - used ? room - 1 : used + (size_t)n;
		count++;
	}
	return count;
}

bool pg_plan_lacks_right(const struct pg_plan *plan)
{
	char list[2];
	return list_rights(plan, PG_PLAN_NO, list, sizeof(list)) > 0;
}

static int check_rights(const struct pg_plan *p, struct pg_err *err)
{
	char list[300];
	if (list_rights(p, PG_PLAN_NO, list, sizeof(list)) == 0)
		return 0;
	pg_fail(err, -EACCES, "in namespace '%s' these rights are missing: %s.", p->ns, list);
	return pg_hint(err, PG_CLUSTER,
		       "give an administrator what plan --manifest prints, for: kubectl apply -f "
		       "-");
}

enum pg_plan_answer pg_plan_judge(const struct pg_plan *plan, enum pg_profile profile,
				  struct pg_err *err)
{
	const struct pg_plan_profile *of = &plan->profiles[profile];
	char list[300];
	if (check_place(plan, profile, err) < 0 || check_rights(plan, err) < 0)
		return PG_PLAN_NO;
	if (of->answer != PG_PLAN_YES) {
		if (err)
			*err = of->why;
		return of->answer;
	}
	if (plan->way == PG_PLAN_NO) {
		if (err)
			*err = plan->way_err;
		return PG_PLAN_NO;
	}
	if (list_rights(plan, PG_PLAN_UNKNOWN, list, sizeof(list)) == 0)
		return PG_PLAN_YES;
	pg_fail(err, -EACCES, "the server does not say whether you have these rights: %s.", list);
	pg_hint(err, PG_CLUSTER, "try it: podgraft redirect tells what is missing");
	return PG_PLAN_UNKNOWN;
}
