#include "injector/fleet.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "injector/back_off.h"
#include "injector/child.h"
#include "injector/kube_json.h"
#include "injector/member.h"
#include "injector/pod_job.h"
#include "proto/base/mem.h"

enum {
	PODS_MAX = 256,
	TICK_MS = 500,
	AGAIN_MS = 5000, /* after a member's failure that may pass; doubles */
	AGAIN_DOUBLINGS = 4,
	OWN_WORDS = 5, /* that a member gets besides ours, and the NULL */
	TEXTS_MAX = 32,
};

/* A pod, and the podgraft that redirects it. */
struct post {
	struct fleet *fleet;
	char name[254];
	char uid[PG_NAME_MAX + 1];
	struct pg_member *member; /* NULL: has ended, or waits to be started again */
	bool is_up;
	bool is_gone;      /* the pod was deleted: the member is to end */
	bool is_given_up;  /* its failure does not pass */
	unsigned failures; /* in a row */
	uint64_t again_ms; /* when the member is started again */
	json_t *error;     /* the member's last words, owned */
	json_int_t open, total, bytes_in, bytes_out;
};

struct fleet {
	struct pg_app *app;
	const struct pg_redirect_values *values;
	const struct pg_operands *ops;
	struct pg_pod_job job;
	struct pg_child *child;
	struct post *posts[PODS_MAX];
	size_t count;
	struct post gone;       /* the sums of members that are no more */
	char *texts[TEXTS_MAX]; /* warnings that were told: each pod has the same ones */
	size_t text_count;
	size_t told_up, told_pods;
	bool was_up;  /* some pod was redirected */
	bool is_full; /* said that there are more pods than we take */
	bool leaving;
	bool stirred; /* a member has ended */
};

/* ---- what members say --------------------------------------------------------------------- */

/* True the first time: what concerns this machine is the same for every pod. */
static bool is_news(struct fleet *f, const char *text)
{
	for (size_t i = 0; i < f->text_count; i++)
		if (strcmp(f->texts[i], text) == 0)
			return false;
	if (f->text_count < TEXTS_MAX && (f->texts[f->text_count] = pg_strdup(text)))
		f->text_count++;
	return true;
}

static void say_ports(struct post *p, const json_t *event)
{
	size_t i;
	json_t *one;
	json_array_foreach(json_object_get(event, "redirects"), i, one)
		pg_output_info(&p->fleet->app->out, "%sport %d of pod '%s' now reaches %s (%s, %s)",
			       pg_json_true(one, "outgoing") ? "outgoing " : "",
			       (int)pg_json_int(one, "port", 0), p->name, pg_json_str(one, "local"),
			       pg_json_str(event, "mechanism"), pg_json_str(event, "transport"));
}

/* The same event, for programs, with the name of its pod. */
static void pass_on(struct post *p, const json_t *event)
{
	json_t *copy = json_copy((json_t *)event);
	json_object_set_new(copy, "pod", json_string(p->name));
	pg_output_json(&p->fleet->app->out, copy);
}

static void take_status(struct post *p, const json_t *event)
{
	p->open = pg_json_int(event, "open", 0);
	p->total = pg_json_int(event, "total", 0);
	p->bytes_in = pg_json_int(event, "bytes_in", 0);
	p->bytes_out = pg_json_int(event, "bytes_out", 0);
}

static void on_told(void *ctx, const json_t *event)
{
	struct post *p = ctx;
	struct pg_output *out = &p->fleet->app->out;
	const char *name = pg_json_str(event, "event"), *text = pg_json_str(event, "message");
	if (json_object_get(event, "error")) {
		json_decref(p->error);
		p->error = json_incref(json_object_get(event, "error"));
		return;
	}
	if (strcmp(name, "status") == 0) {
		take_status(p, event);
		return;
	}
	if (strcmp(name, "warning") == 0) {
		if (is_news(p->fleet, text))
			pg_output_warn(out, "%s", text);
		return;
	}
	if (strcmp(name, "ready") == 0 || strcmp(name, "resumed") == 0) {
		p->is_up = p->fleet->was_up = true;
		p->failures = 0;
		say_ports(p, event);
	} else if (strcmp(name, "lost") == 0) {
		p->is_up = false;
		if (out->format == PG_FORMAT_TEXT && !p->is_gone)
			pg_output_warn(out,
				       "pod '%s': link lost: %s; the app answers until it is back",
				       p->name, text);
	}
	pass_on(p, event);
}

/* ---- members ------------------------------------------------------------------------------ */

static void add_up(struct post *sum, const struct post *p)
{
	sum->open += p->open;
	sum->total += p->total;
	sum->bytes_in += p->bytes_in;
	sum->bytes_out += p->bytes_out;
}

static void drop_post(struct post *p)
{
	struct fleet *f = p->fleet;
	p->open = 0;
	add_up(&f->gone, p);
	for (size_t i = 0; i < f->count; i++) {
		if (f->posts[i] == p) {
			f->posts[i] = f->posts[--f->count];
			break;
		}
	}
	json_decref(p->error);
	free(p);
}

/* Whether a failure may pass by itself: the cluster's may, a person's mistake does not. */
static bool may_pass(const json_t *error)
{
	const char *class = pg_json_str(error, "class");
	return strcmp(class, pg_whose_name(PG_CLUSTER)) == 0;
}

static void say_failed(struct post *p)
{
	struct pg_output *out = &p->fleet->app->out;
	const char *hint = pg_json_str(p->error, "hint");
	if (out->format == PG_FORMAT_TEXT)
		pg_output_warn(out, "pod '%s' is not redirected: %s%s%s%s%s", p->name,
			       pg_json_str(p->error, "message"), hint[0] ? " (" : "", hint,
			       hint[0] ? ")" : "", p->is_given_up ? "" : "; trying again");
	pg_output_event(out, "failed", "{s:s, s:O?, s:b}", "pod", p->name, "error", p->error,
			"again", !p->is_given_up);
}

static void on_ended(void *ctx, int status)
{
	struct post *p = ctx;
	struct fleet *f = p->fleet;
	pg_member_free(p->member);
	p->member = NULL;
	p->is_up = false;
	p->open = 0;
	f->stirred = true;
	if (f->leaving)
		return;
	if (p->is_gone) {
		pg_output_info(&f->app->out, "pod '%s' is gone", p->name);
		pg_output_event(&f->app->out, "gone", "{s:s}", "pod", p->name);
		drop_post(p);
		return;
	}
	unsigned doublings = p->failures < AGAIN_DOUBLINGS ? p->failures : AGAIN_DOUBLINGS;
	p->failures++;
	p->is_given_up = status == 0 || !may_pass(p->error);
	p->again_ms = pg_loop_now_ms(f->app->loop) + ((uint64_t)AGAIN_MS << doublings);
	if (status != 0)
		say_failed(p);
}

/* Our own words up to "--", and which pod it is. A later option beats an earlier one. */
static int start_member(struct post *p, struct pg_err *err)
{
	static const struct pg_member_events events = { on_told, on_ended };
	static char only[] = "--only", output[] = "--output", json[] = "json";
	struct fleet *f = p->fleet;
	size_t n = 0;
	while (f->app->argv[n] && strcmp(f->app->argv[n], "--") != 0)
		n++;
	pg_auto_free char **argv = pg_calloc(n + OWN_WORDS, sizeof(*argv));
	if (!argv)
		return pg_fail(err, -ENOMEM, "redirect pod '%s'", p->name);
	memcpy(argv, f->app->argv, n * sizeof(*argv));
	argv[n++] = only;
	argv[n++] = p->name;
	argv[n++] = output;
	argv[n++] = json;
	json_decref(p->error);
	p->error = NULL;
	p->again_ms = 0;
	return pg_member_start(f->app->loop, argv, &events, p, &p->member, err);
}

static struct post *find(struct fleet *f, const char *uid)
{
	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->posts[i]->uid, uid) == 0)
			return f->posts[i];
	return NULL;
}

static int add_pod(struct fleet *f, const struct pg_pod_change *change, struct pg_err *err)
{
	if (f->count == PODS_MAX) {
		if (!f->is_full)
			pg_output_warn(&f->app->out, "more than %d pods: the others are left alone",
				       PODS_MAX);
		f->is_full = true;
		return 0;
	}
	struct post *p = pg_calloc(1, sizeof(*p));
	if (!p)
		return pg_fail(err, -ENOMEM, "redirect pod '%s'", change->name);
	p->fleet = f;
	memcpy(p->name, change->name, sizeof(p->name));
	memcpy(p->uid, change->uid, sizeof(p->uid));
	f->posts[f->count++] = p;
	int rc = start_member(p, err);
	if (rc < 0)
		drop_post(p);
	return rc;
}

static int take_change(struct fleet *f, const struct pg_pod_change *change, struct pg_err *err)
{
	struct post *p = find(f, change->uid);
	if (!p)
		return change->is_usable ? add_pod(f, change, err) : 0;
	if (!change->is_gone)
		return 0;
	p->is_gone = true;
	if (p->member)
		pg_member_signal(p->member, SIGTERM);
	else
		drop_post(p);
	return 0;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static size_t count_up(const struct fleet *f)
{
	size_t n = 0;
	for (size_t i = 0; i < f->count; i++)
		n += f->posts[i]->is_up;
	return n;
}

static size_t count_members(const struct fleet *f)
{
	size_t n = 0;
	for (size_t i = 0; i < f->count; i++)
		n += f->posts[i]->member != NULL;
	return n;
}

static void show_status(struct fleet *f, const char *what)
{
	struct pg_output *out = &f->app->out;
	struct post sum = f->gone;
	size_t up = count_up(f);
	for (size_t i = 0; i < f->count; i++)
		add_up(&sum, f->posts[i]);
	pg_output_status(out, "%s %zu of %zu pods: %lld open, %lld in all, %.1f MB in, %.1f MB out",
			 what, up, f->count, (long long)sum.open, (long long)sum.total,
			 (double)sum.bytes_in / 1e6, (double)sum.bytes_out / 1e6);
	if (up != f->told_up || f->count != f->told_pods)
		pg_output_event(out, "pods", "{s:I, s:I}", "up", (json_int_t)up, "pods",
				(json_int_t)f->count);
	f->told_up = up;
	f->told_pods = f->count;
}

static void signal_members(struct fleet *f, int signo)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->posts[i]->member)
			pg_member_signal(f->posts[i]->member, signo);
}

/* As for one pod: with "-- COMMAND" a signal is that program's, and the second one cuts. */
static void on_signal(void *ctx, int signo)
{
	struct fleet *f = ctx;
	if (f->child && !pg_child_has_ended(f->child)) {
		if (signo != SIGINT)
			pg_child_signal(f->child, signo);
		return;
	}
	f->leaving = f->stirred = true;
	signal_members(f, signo);
	pg_loop_interrupt(f->app->loop, true);
}

static void on_child_ended(void *ctx)
{
	struct fleet *f = ctx;
	f->leaving = f->stirred = true;
	signal_members(f, SIGINT);
	pg_loop_interrupt(f->app->loop, true);
}

/* Why no pod could be redirected: the words of one of them. */
static int nothing_works(struct fleet *f, struct pg_err *err)
{
	const json_t *e = f->posts[0]->error;
	enum pg_whose whose = PG_CLUSTER;
	for (int w = 0; w < PG_WHOSE_COUNT; w++)
		if (strcmp(pg_whose_name((enum pg_whose)w), pg_json_str(e, "class")) == 0)
			whose = (enum pg_whose)w;
	const char *text = pg_json_str(e, "message");
	int n = (int)strlen(text);
	if (n > 0 && text[n - 1] == '.') /* ours ends in one */
		n--;
	pg_fail(err, -EIO, "none of %zu pods is redirected: %.*s.", f->count, n, text);
	return pg_hint(err, whose, "%s", pg_json_str(e, "hint"));
}

/* Starts again what is due, gives up when not one pod could be redirected, and starts "-- COMMAND"
 * once every pod of the beginning is, or cannot be. */
static int tick(struct fleet *f, int *exit_out, struct pg_err *err)
{
	uint64_t now = pg_loop_now_ms(f->app->loop);
	size_t failed = 0, settled = 0;
	int rc = 0;
	for (size_t i = 0; i < f->count && rc == 0; i++) {
		struct post *p = f->posts[i];
		failed += !p->member;
		settled += p->is_up || p->failures > 0;
		if (!p->member && !p->is_given_up && f->was_up && now >= p->again_ms)
			rc = start_member(p, err);
	}
	show_status(f, "redirecting");
	if (rc == 0 && !f->was_up && f->count > 0 && failed == f->count)
		rc = nothing_works(f, err);
	if (rc == 0 && f->ops->command && !f->child && f->was_up && settled == f->count)
		rc = pg_child_start(f->app->loop, f->ops->command, on_child_ended, f, &f->child,
				    exit_out, err);
	return rc;
}

static int none_appeared(const struct fleet *f, struct pg_err *err)
{
	const char *target = f->job.target.target;
	pg_fail(err, -ETIMEDOUT, "%s has no pod that runs.", target ? target : "the selector");
	return pg_hint(err, PG_TARGET,
		       "is it scaled to 0, or in another namespace (-n)? kubectl get pods");
}

/* Follows the pods until a signal or the end of "-- COMMAND": 0; or until it is of no use. */
static int follow(struct fleet *f, int *exit_out, struct pg_err *err)
{
	const struct pg_platform_ops *ops = f->job.platform->ops;
	struct pg_loop *loop = f->app->loop;
	struct pg_pod_follow *pods = NULL;
	struct pg_back_off back_off = { 0 };
	uint64_t began = pg_loop_now_ms(loop), lost_ms = began;
	int rc = 0;
	while (!f->leaving && rc == 0) {
		struct pg_pod_change change;
		rc = pods ? 0 : ops->follow(f->job.platform, &f->job.target, &pods, err);
		if (rc == 0)
			rc = ops->next(f->job.platform, pods, pg_loop_now_ms(loop) + TICK_MS,
				       &change, err);
		uint64_t now = pg_loop_now_ms(loop);
		if (rc == 0 || rc == -ETIMEDOUT) {
			lost_ms = now;
			rc = rc == 0 ? take_change(f, &change, err) : 0;
		} else if (f->was_up && !pg_back_off_is_final(err, now - lost_ms)) {
			uint8_t dice;
			ops->unfollow(f->job.platform, pg_take_ptr(&pods));
			pg_random(&dice, 1);
			pg_loop_wait(loop, &f->leaving, now + pg_back_off_next(&back_off, dice));
			rc = 0;
		}
		if (rc == 0)
			rc = tick(f, exit_out, err);
		if (rc == 0 && f->count == 0 && !f->was_up && now - began > f->job.target.wait_ms)
			rc = none_appeared(f, err);
	}
	ops->unfollow(f->job.platform, pods);
	return f->leaving ? 0 : rc;
}

/* Every member gives its pod back; a second signal reaches them as well. */
static void bring_down(struct fleet *f, bool failed)
{
	pg_loop_interrupt(f->app->loop, false);
	f->leaving = true;
	if (failed)
		signal_members(f, SIGTERM);
	while (count_members(f) > 0) {
		show_status(f, "draining");
		f->stirred = false;
		pg_loop_wait(f->app->loop, &f->stirred, pg_loop_now_ms(f->app->loop) + TICK_MS);
		pg_loop_interrupt(f->app->loop, false);
	}
	pg_output_status_clear(&f->app->out);
	while (f->count > 0)
		drop_post(f->posts[0]);
}

int pg_fleet_run(struct pg_app *app, const struct pg_redirect_values *values, const char *target,
		 const struct pg_operands *ops, struct pg_err *err)
{
	int exit_status = 0;
	pg_auto_free struct fleet *f = pg_calloc(1, sizeof(*f));
	if (!f)
		return pg_fail(err, -ENOMEM, "redirect many pods");
	*f = (struct fleet){ .app = app, .values = values, .ops = ops };
	int rc = pg_pod_job_reach(app, &values->pod, target, &f->job, err);
	if (rc < 0)
		return rc;
	pg_loop_on_signal(app->loop, on_signal, f);
	rc = follow(f, &exit_status, err);
	bring_down(f, rc < 0);
	pg_loop_on_signal(app->loop, NULL, NULL);
	if (rc == 0)
		pg_output_event(&app->out, "ended", "{s:I}", "connections", f->gone.total);
	if (rc == 0 && f->child && pg_child_has_ended(f->child))
		rc = pg_child_status(f->child);
	for (size_t i = 0; i < f->text_count; i++)
		free(f->texts[i]);
	pg_child_free(f->child);
	pg_pod_job_end(&f->job);
	return rc;
}
