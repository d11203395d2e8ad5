#pragma once
#include "injector/kube_api.h"
#include "injector/kube_dial.h"
#include "injector/plan.h"

/* Gathers what a plan says: reviews, readings and dry runs, none of which changes anything. */

/* What is to be planned for. All borrowed. */
struct pg_kube_plan_for {
	const char *ns;
	const struct pg_target_spec *target;
	const struct pg_graft_spec *graft; /* its profile does not count */
	const json_t *pod;                 /* as read; NULL when we may not read it */
	struct pg_kube_dialer *dialer;
};

/* Fills *plan, whose `pod` the caller has filled when `of->pod` is there. What we may not know
 * stays unknown, be it everything. Fails as pg_kube_call() when the server does not answer. */
int pg_kube_plan(struct pg_kube_api *api, const struct pg_kube_plan_for *of, struct pg_plan *plan,
		 struct pg_err *err);
