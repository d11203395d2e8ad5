#include "injector/agent_api.h"
#include "injector/commands.h"
#include "injector/pod_job.h"

/* inject: only graft the agent. token: prove ourselves to it, for curl. */

static int inject(struct pg_pod_job *job, struct pg_err *err)
{
	struct pg_output *out = &job->app->out;
	struct pg_graft graft;
	int rc = job->platform->ops->graft(job->platform, &job->pod, &job->spec, &graft, err);
	if (rc < 0)
		return rc;
	pg_output_print(out, "%s %u", graft.container, graft.port);
	pg_output_event(out, "grafted", "{s:s, s:s, s:i, s:b}", "pod", job->pod.name, "container",
			graft.container, "port", graft.port, "reused", graft.reused);
	return 0;
}

/* A header that is good for one request within ten seconds. */
static int token(struct pg_pod_job *job, struct pg_err *err)
{
	struct pg_output *out = &job->app->out;
	struct pg_agent_conn *conn = NULL;
	struct pg_graft graft;
	char value[PG_AUTHZ_MAX];
	int rc = pg_agent_reach(job->app->loop, job->platform, &job->pod, &job->spec, &graft, &conn,
				err);
	if (rc < 0)
		return rc;
	pg_agent_token(conn, job->spec.keys, value);
	pg_agent_disconnect(conn);
	pg_output_print(out, "Authorization: %s", value);
	pg_output_event(out, "token", "{s:s, s:i}", "authorization", value, "port", graft.port);
	return 0;
}

static int run(struct pg_app *app, const struct pg_pod_values *v, const struct pg_operands *ops,
	       int (*work)(struct pg_pod_job *job, struct pg_err *err), struct pg_err *err)
{
	struct pg_pod_job job;
	const char *target = ops->count > 0 ? ops->items[0] : NULL;
	int rc = pg_pod_job_begin(app, v, target, PG_PROFILE_REDIRECT, &job, err);
	if (rc < 0)
		return rc;
	rc = work(&job, err);
	pg_pod_job_end(&job);
	return rc;
}

static int run_inject(struct pg_app *app, void *values, const struct pg_operands *ops,
		      struct pg_err *err)
{
	return run(app, values, ops, inject, err);
}

static int run_token(struct pg_app *app, void *values, const struct pg_operands *ops,
		     struct pg_err *err)
{
	return run(app, values, ops, token, err);
}

const struct pg_command pg_cmd_inject = {
	.name = "inject",
	.alias = "manage",
	.operands = "TARGET",
	.summary = "Only graft the agent; print its container and port",
	.details = "Grafts the agent, or finds the one that runs, and prints the name of its "
		   "container "
		   "and the port of its control API on the pod's loopback.",
	.examples = "% inject web-0\n",
	.values_size = sizeof(struct pg_pod_values),
	.least = 0,
	.most = 1,
	.needs_pod = true,
	.needs_cluster = true,
	.run = run_inject,
};

const struct pg_command pg_cmd_token = {
	.name = "token",
	.operands = "TARGET",
	.summary = "Print a header that the agent's control API lets in",
	.details = "The header is good for one request within ten seconds, to this agent only, "
		   "through any port-forward to the port that inject prints with the same "
		   "--profile.",
	.examples = "% inject web-0 --profile inspect\n"
		    "kubectl port-forward web-0 4000:PORT &\n"
		    "curl -H \"$(% token web-0 --profile inspect)\" "
		    "http://127.0.0.1:4000/v1/processes\n",
	.values_size = sizeof(struct pg_pod_values),
	.least = 0,
	.most = 1,
	.needs_pod = true,
	.needs_cluster = true,
	.run = run_token,
};
