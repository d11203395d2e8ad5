#pragma once
#include "injector/output.h"
#include "injector/plan.h"

/* Tells a plan: a report for people with the manifest at its end, or one JSON event. `aim` is the
 * profile whose manifest it is, and whose reasons are left to whoever reports the failure. */
void pg_plan_print(struct pg_output *o, const struct pg_plan *plan, enum pg_profile aim,
		   const char *image);

/* The manifest alone, line by line; nothing in JSON. */
void pg_plan_print_manifest(struct pg_output *o, const char *manifest);

/* The job that stands for a profile: "redirect", "inject --profile forward", "ps". */
const char *pg_plan_job_of(enum pg_profile profile);
