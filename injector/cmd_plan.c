#include <errno.h>
#include <stddef.h>

#include "injector/commands.h"
#include "injector/plan_print.h"
#include "injector/pod_job.h"

/* plan: what would work, with which privileges, and what an administrator would have to allow. */

struct values {
	struct pg_pod_values pod;
	bool only_manifest;
};

static const struct pg_opt opts[] = {
	{ .name = "manifest",
	  .kind = PG_OPT_FLAG,
	  .help = "Print only what an administrator would have to apply.",
	  .at = offsetof(struct values, only_manifest) },
	{ .name = NULL },
};

static int print_only_manifest(struct pg_output *out, const struct pg_plan *plan,
			       enum pg_profile aim, struct pg_err *err)
{
	struct pg_buf manifest = PG_BUF_INIT(16 << 10);
	int rc = pg_plan_manifest(plan, aim, &manifest);
	pg_plan_print_manifest(out, pg_buf_str(&manifest));
	pg_buf_fini(&manifest);
	return rc < 0 ? pg_fail(err, rc, "write the manifest") : 0;
}

static int show(struct pg_pod_job *job, bool only_manifest, struct pg_err *err)
{
	struct pg_output *out = &job->app->out;
	enum pg_profile aim = job->spec.profile;
	struct pg_plan plan;
	int rc = job->platform->ops->plan(job->platform, &job->target, &job->spec, &plan, err);
	if (rc < 0)
		return rc;
	if (plan.is_pod_known) {
		job->pod = plan.pod;
		pg_pod_job_say_which(job);
	}
	if (only_manifest && out->format == PG_FORMAT_TEXT)
		rc = print_only_manifest(out, &plan, aim, err);
	else
		pg_plan_print(out, &plan, aim, job->spec.image);
	if (rc < 0 || pg_plan_judge(&plan, aim, err) == PG_PLAN_YES)
		return rc;
	return pg_wrap(err, "'%s' would not work", pg_plan_job_of(aim));
}

static int run(struct pg_app *app, void *values, const struct pg_operands *ops, struct pg_err *err)
{
	const struct values *v = values;
	struct pg_pod_job job;
	const char *target = ops->count > 0 ? ops->items[0] : NULL;
	int rc = pg_pod_job_open(app, &v->pod, target, PG_PROFILE_REDIRECT, &job, err);
	if (rc < 0)
		return rc;
	rc = pg_auth_init() < 0 ? pg_fail(err, -EIO, "this machine has no randomness.") : 0;
	if (rc == 0) {
		pg_keys_make(&job.keys); /* of this moment: nothing is written on this machine */
		rc = show(&job, v->only_manifest, err);
	}
	pg_pod_job_end(&job);
	return rc;
}

const struct pg_command pg_cmd_plan = {
	.name = "plan",
	.operands = "TARGET",
	.summary = "Say what would work on a pod, and what is missing; change nothing",
	.details =
		"Asks the API server what it would say to agents of every profile, by dry runs, "
		"and "
		"what you may do, and reads pod, node and namespace as far as you may. Ends with "
		"what an administrator would have to allow, for \"kubectl apply -f -\". Exit "
		"status "
		"0: a redirect, or what --profile is for, would work; 3: the cluster does not "
		"allow "
		"it; 4: this pod cannot have it.",
	.examples = "% plan deploy/web\n"
		    "% plan web-0 --as ann --manifest | kubectl apply -f -\n",
	.opts = opts,
	.values_size = sizeof(struct values),
	.least = 0,
	.most = 1,
	.needs_pod = true,
	.needs_cluster = true,
	.run = run,
};
