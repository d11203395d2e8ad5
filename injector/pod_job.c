#include "injector/pod_job.h"

#include <errno.h>
#include <string.h>

#include "injector/keys.h"
#include "injector/kube_platform.h"
#include "injector/state_dir.h"

static int load_keys(struct pg_keys *out, struct pg_err *err)
{
	if (pg_auth_init() < 0)
		return pg_fail(err, -EIO, "this machine has no randomness.");
	pg_auto_free char *dir = pg_state_dir(err);
	return dir ? pg_keys_load(dir, out, err) : err->code;
}

/* A pod is named in one of two ways. */
static int check_words(const struct pg_app *app, const char *target, const char *selector,
		       struct pg_err *err)
{
	if (target && selector) {
		pg_fail(err, -EINVAL, "both a target, '%.100s', and a selector are given", target);
		return pg_hint(err, PG_USER, "name the target, or choose by labels with -l");
	}
	if (target || selector)
		return 0;
	pg_fail(err, -EINVAL, "no target is given");
	return pg_hint(err, PG_USER,
		       "name one, as in pod/NAME or deploy/NAME, or choose by labels with -l; see "
		       "'%s help'",
		       app->program);
}

void pg_pod_job_say_which(const struct pg_pod_job *job)
{
	struct pg_output *out = &job->app->out;
	const struct pg_pod *pod = &job->pod;
	if (pod->container_is_default)
		pg_output_info(out, "Defaulted container \"%s\" out of: %s", pod->container,
			       pod->container_list);
	if (pod->others > 0)
		pg_output_info(out, "pod '%s' of %s; %zu more matched", pod->name,
			       job->target.target ? job->target.target : "the selector",
			       pod->others);
}

int pg_pod_job_open(struct pg_app *app, const struct pg_pod_values *values, const char *target,
		    enum pg_profile least, struct pg_pod_job *out, struct pg_err *err)
{
	*out = (struct pg_pod_job){ .app = app };
	int rc = check_words(app, target, values->selector, err);
	if (rc < 0)
		return rc;
	struct pg_kube_options options = { .transport = pg_transports[values->transport],
					   .credentials = app->credentials };
	out->platform = pg_kubernetes_new(app->loop, &app->kube, &options, &app->out.log, err);
	if (!out->platform)
		return err->code;
	pg_app_show_waits(app, out->platform);
	out->target = (struct pg_target_spec){ .target = target,
					       .only = values->only,
					       .selector = values->selector,
					       .container = values->container,
					       .wait_ms = values->pod_wait_ms };
	out->spec = (struct pg_graft_spec){ .profile = least,
					    .image = values->image,
					    .pull_policy = pg_pull_policies[values->pull_policy],
					    .idle_ms = values->idle_ms,
					    .memory_bytes = values->memory_bytes,
					    .keys = &out->keys };
	if (values->profile > 0)
		pg_profile_parse(pg_profiles[values->profile], &out->spec.profile);
	return 0;
}

int pg_pod_job_reach(struct pg_app *app, const struct pg_pod_values *values, const char *target,
		     struct pg_pod_job *out, struct pg_err *err)
{
	int rc = pg_pod_job_open(app, values, target, PG_PROFILE_REDIRECT, out, err);
	if (rc < 0)
		return rc;
	rc = load_keys(&out->keys, err);
	if (rc < 0)
		pg_pod_job_end(out);
	return rc;
}

int pg_pod_job_begin(struct pg_app *app, const struct pg_pod_values *values, const char *target,
		     enum pg_profile least, struct pg_pod_job *out, struct pg_err *err)
{
	int rc = pg_pod_job_open(app, values, target, least, out, err);
	if (rc < 0)
		return rc;
	rc = load_keys(&out->keys, err);
	if (rc == 0)
		rc = out->platform->ops->resolve(out->platform, &out->target, &out->pod, err);
	if (rc == 0) {
		pg_pod_job_say_which(out);
		rc = pg_pod_check_network(&out->pod, out->spec.profile, err);
	}
	if (rc < 0)
		pg_pod_job_end(out);
	return rc;
}

int pg_pod_job_again(struct pg_pod_job *job, struct pg_err *err)
{
	char was[sizeof(job->pod.uid)];
	memcpy(was, job->pod.uid, sizeof(was));
	int rc = job->platform->ops->resolve(job->platform, &job->target, &job->pod, err);
	if (rc == 0 && strcmp(was, job->pod.uid) != 0)
		pg_output_info(&job->app->out, "pod '%s' takes its place", job->pod.name);
	return rc;
}

void pg_pod_job_end(struct pg_pod_job *job)
{
	pg_app_show_waits(job->app, NULL);
	if (job->platform)
		job->platform->ops->close(job->platform);
	job->platform = NULL;
}
