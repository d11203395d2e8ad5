#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "injector/commands.h"
#include "injector/keys.h"
#include "injector/kube_platform.h"
#include "injector/state_dir.h"
#include "injector/status_log.h"
#include "injector/survey.h"
#include "injector/text_table.h"
#include "proto/base/mem.h"

/* status: who redirects what since when, as the pods' containers and the agents' logs tell. It
 * grafts nothing, and needs no more than reading pods and logs. */

struct values {
	const char *selector;
	bool all_namespaces, all;
};

static const struct pg_opt options[] = {
	{ .name = "selector",
	  .letter = 'l',
	  .kind = PG_OPT_TEXT,
	  .argument = "SELECTOR",
	  .help = "Only pods with these labels.",
	  .at = offsetof(struct values, selector) },
	{ .name = "all-namespaces",
	  .letter = 'A',
	  .kind = PG_OPT_FLAG,
	  .help = "The pods of all namespaces.",
	  .at = offsetof(struct values, all_namespaces) },
	{ .name = "all",
	  .kind = PG_OPT_FLAG,
	  .help = "Agents that have ended, too.",
	  .at = offsetof(struct values, all) },
	{ .name = NULL },
};

/* What is shown, on its way to the two printers. */
struct show {
	struct pg_app *app;
	const struct values *values;
	struct pg_platform *platform;
	struct pg_keys keys;
	bool has_keys;
	bool warned; /* of a log that cannot be read */
	int64_t now_s;
	struct pg_text_table table;
	json_t *agents;
};

/* What a redirect, or an agent without one, is shown as. */
struct row {
	char by[96], what[48], since[16], state[96], age[16];
};

static void age_text(const struct show *s, int64_t since_s, char out[16])
{
	int64_t age = s->now_s - since_s;
	if (since_s <= 0 || age < 0)
		snprintf(out, 16, "-");
	else
		pg_age_text((uint64_t)age, out);
}

static void add_row(struct show *s, const struct pg_agent_seen *a, const struct row *row)
{
	const char *cells[] = { a->ns,     a->pod,     a->container, row->by,
				row->what, row->since, row->state,   row->age };
	const size_t skipped = s->values->all_namespaces ? 0 : 1;
	pg_text_table_add(&s->table, cells + skipped);
}

static const char *life_word(const struct pg_agent_seen *a)
{
	static const char *const words[] = { [PG_AGENT_STARTING] = "starting",
					     [PG_AGENT_RUNS] = "idle",
					     [PG_AGENT_ENDED] = "ended" };
	return words[a->life];
}

static json_t *redirect_json(const struct pg_status_line *line)
{
	return json_pack("{s:s, s:i, s:s, s:o*, s:s, s:s}", "direction",
			 line->outgoing ? "outgoing" : "incoming", "port", line->port, "by",
			 line->who, "since", pg_output_time((int64_t)line->since), "state",
			 line->event == PG_STATUS_PARKED ? "parked" : "redirected", "note",
			 line->note);
}

/* One line for each redirect, or one for an agent that has none. */
static void show_agent(struct show *s, const struct pg_agent_seen *a,
		       const struct pg_status_log *log, bool is_known)
{
	bool yours = s->has_keys && memcmp(a->laptop_key, s->keys.pub, PG_KEY_BYTES) == 0;
	json_t *redirects = json_array();
	struct row row;
	age_text(s, a->life == PG_AGENT_STARTING ? 0 : a->since_s, row.age);
	for (size_t i = 0; i < log->count; i++) {
		const struct pg_status_line *line = &log->redirects[i];
		bool parked = line->event == PG_STATUS_PARKED;
		snprintf(row.by, sizeof(row.by), "%s%s", line->who, yours ? " (you)" : "");
		snprintf(row.what, sizeof(row.what), "%sport %u", line->outgoing ? "outgoing " : "",
			 line->port);
		age_text(s, (int64_t)line->since, row.since);
		snprintf(row.state, sizeof(row.state), "%s%s%s", parked ? "parked" : "redirected",
			 parked && line->note[0] ? ": " : "", parked ? line->note : "");
		add_row(s, a, &row);
		json_array_append_new(redirects, redirect_json(line));
	}
	if (log->count == 0) {
		snprintf(row.by, sizeof(row.by), "%s", yours ? "(you)" : "-");
		snprintf(row.what, sizeof(row.what), "-");
		snprintf(row.since, sizeof(row.since), "-");
		snprintf(row.state, sizeof(row.state), "%s", is_known ? life_word(a) : "unknown");
		add_row(s, a, &row);
	}
	json_array_append_new(s->agents,
			      json_pack("{s:s, s:s, s:s, s:s, s:s, s:o*, s:b, s:b, s:o}",
					"namespace", a->ns, "pod", a->pod, "container",
					a->container, "profile", a->profile, "state",
					a->life == PG_AGENT_RUNS ? "running" : life_word(a),
					"since", pg_output_time(a->since_s), "yours", yours,
					"log_read", is_known, "redirects", redirects));
}

static void on_line(void *ctx, const char *text)
{
	pg_status_log_line(ctx, text);
}

static int look_at(struct show *s, const struct pg_agent_seen *a, struct pg_err *err)
{
	pg_auto_free struct pg_status_log *log = pg_calloc(1, sizeof(*log));
	struct pg_err why = { .code = 0 };
	int rc = 0;
	if (!log)
		return pg_fail(err, -ENOMEM, "read a log");
	if (a->life == PG_AGENT_RUNS)
		rc = s->platform->ops->agent_log(s->platform, a, on_line, log, &why);
	if (rc == -ECANCELED) {
		*err = why;
		return rc;
	}
	if (rc < 0 && !s->warned)
		pg_output_warn(&s->app->out, "%s%s%s%s", why.what, why.hint[0] ? " (" : "",
			       why.hint, why.hint[0] ? ")" : "");
	s->warned = s->warned || rc < 0;
	show_agent(s, a, log, rc == 0);
	return 0;
}

/* The person's key, if there is one: only to say which agents are theirs. */
static void read_keys(struct show *s)
{
	pg_auto_free char *dir = pg_state_dir(NULL);
	s->has_keys = dir && pg_keys_read(dir, &s->keys, NULL) == 0;
}

static int show_all(struct show *s, const struct pg_survey *survey, struct pg_err *err)
{
	int rc = 0;
	for (size_t i = 0; i < survey->count && rc == 0; i++)
		if (s->values->all || survey->agents[i].life != PG_AGENT_ENDED)
			rc = look_at(s, &survey->agents[i], err);
	if (rc < 0)
		return rc;
	if (survey->is_cut)
		pg_output_warn(&s->app->out, "there are more than %d agents: name a target",
			       PG_SURVEY_MAX);
	if (json_array_size(s->agents) == 0)
		pg_output_info(&s->app->out, "no agent of podgraft runs there");
	else
		pg_text_table_print(&s->table, &s->app->out);
	pg_output_json(&s->app->out, json_pack("{s:O}", "agents", s->agents));
	return 0;
}

static int check_words(const struct values *v, const char *target, struct pg_err *err)
{
	if (target && v->selector) {
		pg_fail(err, -EINVAL, "both a target, '%.100s', and a selector are given", target);
		return pg_hint(err, PG_USER, "name the target, or choose by labels with -l");
	}
	if (target && v->all_namespaces) {
		pg_fail(err, -EINVAL, "a target is in one namespace, not in all");
		return pg_hint(err, PG_USER, "leave out the target, or -A");
	}
	return 0;
}

static int run(struct pg_app *app, void *values, const struct pg_operands *ops, struct pg_err *err)
{
	static const char *const heads[] = { "NAMESPACE", "POD",   "CONTAINER", "BY",
					     "WHAT",      "SINCE", "STATE",     "AGE" };
	const struct values *v = values;
	const struct pg_kube_options none = { .transport = NULL };
	struct pg_agents_wish wish = { .pods = { .target = ops->count > 0 ? ops->items[0] : NULL,
						 .selector = v->selector },
				       .all_namespaces = v->all_namespaces };
	struct show s = { .app = app, .values = v, .now_s = (int64_t)time(NULL) };
	struct pg_survey survey = { .count = 0 };
	int rc = check_words(v, wish.pods.target, err);
	if (rc < 0)
		return rc;
	s.platform = pg_kubernetes_new(app->loop, &app->kube, &none, &app->out.log, err);
	if (!s.platform)
		return err->code;
	pg_app_show_waits(app, s.platform);
	read_keys(&s);
	s.agents = json_array();
	pg_text_table_init(&s.table, heads + (v->all_namespaces ? 0 : 1),
			   PG_LEN(heads) - (v->all_namespaces ? 0 : 1));
	rc = pg_survey_take(s.platform, &wish, &survey, err);
	if (rc == 0)
		rc = show_all(&s, &survey, err);
	pg_survey_fini(&survey);
	pg_text_table_fini(&s.table);
	json_decref(s.agents);
	pg_app_show_waits(app, NULL);
	s.platform->ops->close(s.platform);
	return rc;
}

const struct pg_command pg_cmd_status = {
	.name = "status",
	.operands = "[TARGET]",
	.summary = "Who redirects what since when",
	.details = "Tells of every agent of podgraft in the pods of the namespace, or of TARGET, "
		   "whoever grafted it: what it redirects, for whom, and since when. That is read "
		   "from the pods and the agents' logs; nothing is grafted or changed.",
	.examples = "% status\n% status deploy/web\n% status -A --output json\n",
	.opts = options,
	.values_size = sizeof(struct values),
	.least = 0,
	.most = 1,
	.needs_cluster = true,
	.run = run,
};
