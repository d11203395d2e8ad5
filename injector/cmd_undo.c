#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "injector/commands.h"
#include "injector/contexts.h"
#include "injector/keys.h"
#include "injector/kube_platform.h"
#include "injector/owner.h"
#include "injector/pod_job.h"
#include "injector/state.h"
#include "injector/state_dir.h"
#include "injector/survey.h"
#include "injector/tunnel.h"
#include "proto/base/mem.h"

/* undo: ends one's own agents, with all that they redirect, from wherever one's key is. */

struct values {
	const char *selector;
	bool all, forget;
	int transport;
};

static const struct pg_opt options[] = {
	{ .name = "selector",
	  .letter = 'l',
	  .kind = PG_OPT_TEXT,
	  .argument = "SELECTOR",
	  .help = "Only in pods with these labels.",
	  .at = offsetof(struct values, selector) },
	{ .name = "all",
	  .kind = PG_OPT_FLAG,
	  .help = "In every pod on record, whatever its cluster and namespace.",
	  .at = offsetof(struct values, all) },
	{ .name = "forget",
	  .kind = PG_OPT_FLAG,
	  .help = "With --all: forget at once the agents of clusters that cannot be reached, "
		  "and those that have not started.",
	  .at = offsetof(struct values, forget) },
	{ .name = "transport",
	  .kind = PG_OPT_CHOICE,
	  .argument = "NAME",
	  .standard = "auto",
	  .choices = pg_transports,
	  .help = "How to reach the agents; auto tries the others in their order.",
	  .at = offsetof(struct values, transport) },
	{ .name = NULL },
};

struct undo {
	struct pg_app *app;
	const struct values *values;
	struct pg_keys keys;
	char by[PG_OWNER_MAX + 1];
	size_t ended, failed;
	struct pg_err last; /* of the failures */
};

/* What could not be done is told at once; the others go on. -ECANCELED ends all. */
static int note_failure(struct undo *u, const char *pod, const struct pg_err *why)
{
	if (why->code == -ECANCELED)
		return why->code;
	u->failed++;
	u->last = *why;
	pg_output_warn(&u->app->out, "pod '%s': %s%s%s%s", pod, why->what, why->hint[0] ? " (" : "",
		       why->hint, why->hint[0] ? ")" : "");
	return 0;
}

static void say_undone(struct undo *u, const struct pg_agent_seen *a,
		       const Podgraft__V1__Undone *undone)
{
	u->ended++;
	pg_output_print(&u->app->out, "pod '%s': %s ends: %u redirect%s, %u connection%s open",
			a->pod, a->container, undone->redirects, undone->redirects == 1 ? "" : "s",
			undone->connections, undone->connections == 1 ? "" : "s");
	pg_output_event(&u->app->out, "undone", "{s:s, s:s, s:s, s:i, s:i}", "namespace", a->ns,
			"pod", a->pod, "container", a->container, "redirects",
			(int)undone->redirects, "connections", (int)undone->connections);
}

/* The agent proves that it is the one whose key its log shows; we prove that the key is ours. */
static int ask_to_end(struct undo *u, struct pg_tunnel *t, const struct pg_agent_seen *a,
		      struct pg_err *err)
{
	Podgraft__V1__Undo body = PODGRAFT__V1__UNDO__INIT;
	Podgraft__V1__Control question = PODGRAFT__V1__CONTROL__INIT, *answer;
	body.by = u->by;
	question.body_case = PODGRAFT__V1__CONTROL__BODY_UNDO;
	question.undo = &body;
	int rc = pg_tunnel_ask(t, &question, &answer, err);
	if (rc < 0)
		return rc;
	if (answer->body_case == PODGRAFT__V1__CONTROL__BODY_UNDONE)
		say_undone(u, a, answer->undone);
	else
		rc = pg_fail(err, -EPROTO, "the agent answers another question");
	pg_msg_free(answer);
	return rc;
}

/* Its image is being pulled, or cannot be. Kubernetes has no way to take it out of the pod. */
static int fail_unstarted(struct undo *u, const struct pg_agent_seen *a, struct pg_err *err)
{
	if (u->values->forget) {
		pg_output_warn(&u->app->out, "pod '%s': %s has not started; it is forgotten",
			       a->pod, a->container);
		return 0;
	}
	pg_fail(err, -EAGAIN, "%s has not started, so it cannot be told to end.", a->container);
	return pg_hint(err, PG_TARGET,
		       "it redirects nothing; should it start yet, it ends by itself after its "
		       "idle time, unless a podgraft waits for it");
}

/* Ends an agent that is there to be linked to. */
static int end_adopted(struct undo *u, struct pg_platform *p, const struct pg_agent_seen *a,
		       struct pg_pod *pod, struct pg_graft *graft, struct pg_err *err)
{
	const struct pg_graft_spec spec = { .keys = &u->keys };
	struct pg_tunnel *tunnel = NULL;
	struct pg_tunnel_config config = { .loop = u->app->loop,
					   .platform = p,
					   .pod = pod,
					   .spec = &spec,
					   .graft = graft,
					   .session = pg_session_of_undo };
	int rc = pg_tunnel_open(&config, &tunnel, err);
	/* The pod's status does not show it yet. An API server that refuses is another matter. */
	if (rc == -ECONNREFUSED && err->whose == PG_TARGET) {
		pg_output_info(&u->app->out, "pod '%s': %s has ended already", a->pod,
			       a->container);
		return 0;
	}
	if (rc == 0)
		rc = ask_to_end(u, tunnel, a, err);
	pg_tunnel_close(tunnel);
	return rc;
}

static int end_agent(struct undo *u, struct pg_platform *p, const struct pg_agent_seen *a,
		     struct pg_err *err)
{
	pg_auto_free struct pg_pod *pod = pg_calloc(1, sizeof(*pod));
	struct pg_graft graft;
	if (!pod)
		return pg_fail(err, -ENOMEM, "end an agent");
	if (a->life == PG_AGENT_STARTING)
		pg_output_info(&u->app->out,
			       "pod '%s': %s has not started: giving it a few seconds", a->pod,
			       a->container);
	int rc = p->ops->adopt(p, a, pod, &graft, err);
	if (rc < 0 && rc != -ECANCELED && a->life == PG_AGENT_STARTING)
		return fail_unstarted(u, a, err);
	if (rc == 0)
		rc = end_adopted(u, p, a, pod, &graft, err);
	if (rc == 0)
		p->ops->forget(p, pod, &graft);
	return rc;
}

static bool is_ours(const struct undo *u, const struct pg_agent_seen *a)
{
	return memcmp(a->laptop_key, u->keys.pub, PG_KEY_BYTES) == 0;
}

/* Ends every agent with our key in those pods; of one container only, unless that is NULL. */
static int end_agents(struct undo *u, struct pg_platform *p, const struct pg_agents_wish *wish,
		      const char *container, struct pg_err *err)
{
	struct pg_survey survey;
	pg_app_show_waits(u->app, p);
	int rc = pg_survey_take(p, wish, &survey, err);
	for (size_t i = 0; rc == 0 && i < survey.count; i++) {
		const struct pg_agent_seen *a = &survey.agents[i];
		struct pg_err why = { .code = 0 };
		if (a->life == PG_AGENT_ENDED || !is_ours(u, a) ||
		    (container && strcmp(a->container, container) != 0))
			continue;
		if (end_agent(u, p, a, &why) < 0)
			rc = note_failure(u, a->pod, &why);
		if (rc < 0)
			*err = why;
	}
	pg_survey_fini(&survey);
	pg_app_show_waits(u->app, NULL);
	return rc;
}

static struct pg_platform *open_platform(struct undo *u, const struct pg_kube_flags *flags,
					 struct pg_err *err)
{
	const struct pg_kube_options options_ = { .transport =
							  pg_transports[u->values->transport] };
	return pg_kubernetes_new(u->app->loop, flags, &options_, &u->app->out.log, err);
}

static int undo_here(struct undo *u, const char *target, struct pg_err *err)
{
	struct pg_agents_wish wish = { .pods = { .target = target,
						 .selector = u->values->selector } };
	struct pg_platform *p = open_platform(u, &u->app->kube, err);
	if (!p)
		return err->code;
	int rc = end_agents(u, p, &wish, NULL, err);
	p->ops->close(p);
	return rc;
}

/* ---- everything on record ----------------------------------------------------------------- */

/* One agent of the record, through the first context of its cluster that gets there. */
static int undo_recorded(struct undo *u, const struct pg_contexts *contexts,
			 const struct pg_state_agent *a, struct pg_err *err)
{
	struct pg_agents_wish wish = { .pods = { .target = a->pod } };
	pg_fail(err, -ENOENT, "no context of the kubeconfig leads to its cluster, %.200s.",
		a->cluster);
	int rc = pg_hint(err, PG_CLUSTER, "name the kubeconfig that does with --kubeconfig");
	for (size_t i = 0; i < contexts->count && rc < 0 && rc != -ECANCELED; i++) {
		struct pg_kube_flags flags = u->app->kube;
		if (strcmp(contexts->items[i].server, a->cluster) != 0)
			continue;
		flags.context = contexts->items[i].name;
		flags.namespace_ = a->ns;
		struct pg_platform *p = open_platform(u, &flags, err);
		rc = p ? end_agents(u, p, &wish, a->container, err) : err->code;
		bool is_gone = rc == -ENOENT && err->whose == PG_TARGET;
		if (p)
			p->ops->close(p);
		if (is_gone) /* the pod, and the agent with it */
			return 0;
	}
	return rc;
}

static void reach_cluster(void *ctx, struct pg_state *st)
{
	pg_state_reached(st, ctx);
}

/* Its cluster has answered, whatever it said: `st`, which is what we go by, and the file. */
static void note_reached(struct undo *u, const char *dir, struct pg_state *st, char *cluster)
{
	struct pg_err err = { .code = 0 };
	bool was_missed = false;
	for (size_t i = 0; i < st->agent_count; i++)
		was_missed = was_missed || (st->agents[i].missed_s > 0 &&
					    strcmp(st->agents[i].cluster, cluster) == 0);
	if (!was_missed)
		return;
	pg_state_reached(st, cluster);
	if (pg_state_change(dir, reach_cluster, cluster, &u->app->out.log, &err) < 0)
		pg_output_warn(&u->app->out, "%s", err.what);
}

static void drop_agent(void *ctx, struct pg_state *st)
{
	const struct pg_state_agent *a = ctx;
	pg_state_drop(st, a->uid, a->container);
}

/* It is not there any more: nobody need look for it again. */
static void forget(struct undo *u, const char *dir, struct pg_state_agent *a)
{
	struct pg_err err = { .code = 0 };
	if (pg_state_change(dir, drop_agent, a, &u->app->out.log, &err) < 0)
		pg_output_warn(&u->app->out, "%s", err.what);
}

static void miss_agent(void *ctx, struct pg_state *st)
{
	const struct pg_state_agent *a = ctx;
	pg_state_miss(st, a->uid, a->container, a->missed_s);
}

/* Its cluster does not answer, or not to us: maybe it is gone. Such an agent is forgotten in the
 * end: it counts as a failure until then. */
static int note_missed(struct undo *u, const char *dir, struct pg_state_agent *a,
		       const struct pg_err *why)
{
	struct pg_err err = { .code = 0 };
	int64_t now_s = (int64_t)time(NULL);
	if (u->values->forget || pg_state_is_lost(a, now_s)) {
		pg_output_warn(&u->app->out, "pod '%s': %s; its agent is forgotten", a->pod,
			       why->what);
		forget(u, dir, a);
		return 0;
	}
	if (a->missed_s == 0) {
		a->missed_s = now_s;
		if (pg_state_change(dir, miss_agent, a, &u->app->out.log, &err) < 0)
			pg_output_warn(&u->app->out, "%s", err.what);
	}
	return note_failure(u, a->pod, why);
}

static int undo_one(struct undo *u, const struct pg_contexts *contexts, const char *dir,
		    struct pg_state *st, struct pg_state_agent *a, struct pg_err *err)
{
	struct pg_err why = { .code = 0 };
	size_t failed = u->failed;
	int rc = undo_recorded(u, contexts, a, &why);
	bool is_missed = rc < 0 && rc != -ECANCELED && why.whose == PG_CLUSTER;
	if (rc == 0 || why.whose == PG_TARGET)
		note_reached(u, dir, st, a->cluster);
	if (rc == 0 && u->failed == failed)
		forget(u, dir, a);
	else if (is_missed)
		rc = note_missed(u, dir, a, &why);
	else if (rc < 0)
		rc = note_failure(u, a->pod, &why);
	if (rc < 0)
		*err = why;
	return rc;
}

static int undo_all(struct undo *u, struct pg_err *err)
{
	struct pg_contexts contexts;
	pg_auto_free char *dir = pg_state_dir(err);
	pg_auto_free struct pg_state *st = dir ? pg_state_load(dir, &u->app->out.log) : NULL;
	if (!st)
		return dir ? pg_fail(err, -ENOMEM, "read the record of agents") : err->code;
	int rc = pg_contexts_load(&u->app->kube, &contexts, err);
	for (size_t i = 0; i < st->agent_count && rc == 0; i++)
		if (st->agents[i].pod[0]) /* else recorded before names were */
			rc = undo_one(u, &contexts, dir, st, &st->agents[i], err);
	pg_contexts_fini(&contexts);
	return rc;
}

static int check_words(const struct values *v, const char *target, struct pg_err *err)
{
	if (v->forget && !v->all) {
		pg_fail(err, -EINVAL, "--forget without --all");
		return pg_hint(err, PG_USER, "it is about the agents on record: --all --forget");
	}
	if (!!target + !!v->selector + v->all <= 1)
		return 0;
	pg_fail(err, -EINVAL, "more than one of a target, a selector and --all are given");
	return pg_hint(err, PG_USER, "name the target, choose by labels with -l, or end --all");
}

/* Without a key nothing is ours; a new one would change nothing of that. */
static int read_keys(struct pg_keys *out, struct pg_err *err)
{
	pg_auto_free char *dir = pg_state_dir(err);
	int rc = dir ? pg_keys_read(dir, out, err) : err->code;
	if (rc != -ENOENT)
		return rc;
	pg_fail(err, rc, "there is no key of podgraft here, so no agent is yours.");
	return pg_hint(err, PG_LOCAL, "copy the file %s/key from where you grafted", dir);
}

static int run(struct pg_app *app, void *values, const struct pg_operands *ops, struct pg_err *err)
{
	const char *target = ops->count > 0 ? ops->items[0] : NULL;
	struct undo u = { .app = app, .values = values };
	int rc = check_words(u.values, target, err);
	if (rc == 0)
		rc = read_keys(&u.keys, err);
	if (rc < 0)
		return rc;
	pg_owner_name(u.by);
	rc = u.values->all ? undo_all(&u, err) : undo_here(&u, target, err);
	if (rc < 0)
		return rc;
	if (u.ended + u.failed == 0)
		pg_output_info(&app->out, "no agent of yours runs there");
	if (u.failed == 0)
		return 0;
	*err = u.last;
	pg_fail(err, u.last.code, "%zu of your agents could not be ended.", u.failed);
	err->whose = u.last.whose;
	return pg_hint(err, (enum pg_whose)u.last.whose,
		       "the warnings say why; without a session they end by themselves");
}

const struct pg_command pg_cmd_undo = {
	.name = "undo",
	.operands = "[TARGET]",
	.summary = "End one's own agents and all that they redirect",
	.details =
		"Tells every agent of one's own key in the pods of the namespace, or of TARGET, to "
		"give back all ports and to end. A podgraft that uses one, on whatever machine, "
		"is told and ends, too. One that has not started cannot be told, and is named. "
		"With --all: in every pod on record, through whichever context of the kubeconfig "
		"leads there. Agents of a cluster that cannot be reached are named each time, and "
		"forgotten after 7 days in which it did not answer once.",
	.examples = "% undo web-0\n% undo --all\n",
	.opts = options,
	.values_size = sizeof(struct values),
	.least = 0,
	.most = 1,
	.needs_cluster = true,
	.run = run,
};
