#include <errno.h>
#include <jansson.h>

#include "injector/agent_api.h"
#include "injector/commands.h"
#include "injector/pod_job.h"
#include "injector/process_table.h"

/* ps: what runs and listens in the pod, as the agent's /v1/processes tells it. */

static void print_line(void *ctx, const char *line)
{
	pg_output_print(ctx, "%s", line);
}

static int show(struct pg_pod_job *job, struct pg_err *err)
{
	struct pg_agent_conn *conn = NULL;
	struct pg_graft graft;
	struct pg_buf body = PG_BUF_INIT(4 << 20);
	int rc = pg_agent_reach(job->app->loop, job->platform, &job->pod, &job->spec, &graft, &conn,
				err);
	if (rc < 0)
		return rc;
	rc = pg_agent_get(conn, job->spec.keys, "/v1/processes", &body, err);
	pg_agent_disconnect(conn);
	json_t *root = rc == 0 ? json_loadb(pg_buf_str(&body), body.len, 0, NULL) : NULL;
	pg_buf_fini(&body);
	if (rc == 0 && !json_is_object(root)) {
		pg_fail(err, -EPROTO, "the agent's list of processes is not of its form");
		rc = pg_hint(err, PG_TARGET, "choose podgraft's agent with --image");
	}
	if (rc == 0 && pg_process_table(root, print_line, &job->app->out) < 0)
		rc = pg_fail(err, -ENOMEM, "list the processes");
	if (rc == 0)
		pg_output_json(&job->app->out, json_incref(root));
	json_decref(root);
	return rc;
}

static int run(struct pg_app *app, void *values, const struct pg_operands *ops, struct pg_err *err)
{
	const struct pg_pod_values *v = values;
	struct pg_pod_job job;
	const char *target = ops->count > 0 ? ops->items[0] : NULL;
	int rc = pg_pod_job_begin(app, v, target, PG_PROFILE_INSPECT, &job, err);
	if (rc < 0)
		return rc;
	rc = show(&job, err);
	pg_pod_job_end(&job);
	return rc;
}

const struct pg_command pg_cmd_ps = {
	.name = "ps",
	.operands = "TARGET",
	.summary = "Show what runs and listens in a pod",
	.details = "Lists the processes of the chosen container, and every listening socket of the "
		   "pod.",
	.examples = "% ps web-0\n% ps deploy/web -c app --output json\n",
	.values_size = sizeof(struct pg_pod_values),
	.least = 0,
	.most = 1,
	.needs_pod = true,
	.needs_cluster = true,
	.run = run,
};
