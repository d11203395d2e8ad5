#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <string.h>

#include "injector/agent_api.h"
#include "injector/commands.h"
#include "injector/pod_job.h"

/* ps: what runs and listens in the pod, as the agent's /v1/processes tells it. */

/* A member that an agent sent: text goes through pg_sanitize() before it reaches a terminal. */
static void text_of(json_t *object, const char *name, char *out, size_t room)
{
	const char *text = json_string_value(json_object_get(object, name));
	snprintf(out, room, "%s", text ? text : "");
	pg_sanitize(out);
}

static long long number_of(json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

/* The words of a command line, or the name in brackets as ps(1) shows it. */
static void command_of(json_t *process, char *out, size_t room)
{
	json_t *words = json_object_get(process, "command");
	size_t used = 0, i;
	json_t *word;
	out[0] = '\0';
	json_array_foreach(words, i, word)
	{
		const char *text = json_string_value(word);
		int n = snprintf(out + used, room - used, "%s%s", i ? " " : "", text ? text : "");
		used = n < 0 || (size_t)n >= room - used ? room - 1 : used + (size_t)n;
	}
	if (json_array_size(words) == 0) {
		char name[64];
		text_of(process, "name", name, sizeof(name));
		snprintf(out, room, "[%s]", name);
	}
	pg_sanitize(out);
}

/* "tcp 0.0.0.0:8080, ..." of what process `pid` listens on. */
static void sockets_of(json_t *sockets, long long pid, char *out, size_t room)
{
	size_t used = 0, i;
	json_t *socket;
	out[0] = '\0';
	json_array_foreach(sockets, i, socket)
	{
		char protocol[8], address[64];
		if (number_of(socket, "pid") != pid)
			continue;
		text_of(socket, "protocol", protocol, sizeof(protocol));
		text_of(socket, "address", address, sizeof(address));
		bool is_ip6 = strchr(address, ':') != NULL;
		int n = snprintf(out + used, room - used,
				 is_ip6 ? "%s%s [%s]:%lld" : "%s%s %s:%lld", used ? ", " : "",
				 protocol, address, number_of(socket, "port"));
		used = n < 0 || (size_t)n >= room - used ? room - 1 : used + (size_t)n;
	}
}

static void print_table(struct pg_output *out, json_t *root)
{
	json_t *sockets = json_object_get(root, "sockets"), *process;
	char command[256], listens[256];
	size_t i;
	pg_output_print(out, "%7s %7s %7s  %-22s %s", "PID", "PPID", "UID", "LISTENS", "COMMAND");
	json_array_foreach(json_object_get(root, "processes"), i, process)
	{
		long long pid = number_of(process, "pid");
		command_of(process, command, sizeof(command));
		sockets_of(sockets, pid, listens, sizeof(listens));
		pg_output_print(out, "%7lld %7lld %7lld  %-22s %.120s", pid,
				number_of(process, "ppid"), number_of(process, "uid"),
				listens[0] ? listens : "-", command);
	}
	sockets_of(sockets, 0, listens, sizeof(listens));
	if (listens[0])
		pg_output_print(out, "of processes that this agent cannot see: %s", listens);
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
		rc = pg_fail(err, -EPROTO, "the agent's list of processes is not of its form");
		pg_blame(err, PG_TARGET);
	}
	if (rc == 0) {
		print_table(&job->app->out, root);
		pg_output_json(&job->app->out, json_incref(root));
	}
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
