#include "injector/fleet.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "injector/back_off.h"
#include "injector/child.h"
#include "injector/kube_json.h"
#include "injector/pod_job.h"
#include "injector/post.h"
#include "proto/base/mem.h"

enum {
	PODS_MAX = 256,
	TICK_MS = 500,
	TEXTS_MAX = 32, /* different warnings within NEWS_MS */
	NEWS_MS = 10000,
	EXIT_SIGNAL = 128,
};

struct fleet {
	struct pg_app *app;
	const struct pg_operands *ops;
	struct pg_pod_job job;
	struct pg_child *child;
	struct pg_post_config config;
	struct pg_post *posts[PODS_MAX];
	size_t count;
	struct pg_post_sums gone; /* of pods that are no more */
	char *texts[TEXTS_MAX];   /* warnings that were just told */
	size_t text_count;
	uint64_t texts_ms; /* when the first of them was */
	size_t told_up, told_pods;
	int exit_status; /* of "-- COMMAND" that could not be started */
	int signo;       /* the last one, ours or the command's */
	bool was_up;     /* some pod was redirected */
	bool is_full;    /* said that there are more pods than we take */
	bool recounts;   /* the pods are being read anew: who is not among them is gone */
	bool leaving;
	bool stirred; /* a member has ended */
};

/* ---- pods that come and go ---------------------------------------------------------------- */

static void forget_texts(struct fleet *f)
{
	while (f->text_count > 0)
		free(f->texts[--f->text_count]);
}

static bool is_news(void *ctx, const char *text)
{
	struct fleet *f = ctx;
	uint64_t now = pg_loop_now_ms(f->app->loop);
	if (now - f->texts_ms > NEWS_MS)
		forget_texts(f);
	for (size_t i = 0; i < f->text_count; i++)
		if (strcmp(f->texts[i], text) == 0)
			return false;
	if (f->text_count == 0)
		f->texts_ms = now;
	if (f->text_count < TEXTS_MAX && (f->texts[f->text_count] = pg_strdup(text)))
		f->text_count++;
	return true;
}

static void add_up(struct pg_post_sums *sum, const struct pg_post_sums *one)
{
	sum->open += one->open;
	sum->total += one->total;
	sum->bytes_in += one->bytes_in;
	sum->bytes_out += one->bytes_out;
	sum->app += one->app;
	sum->probes += one->probes;
}

static void drop_post(struct fleet *f, struct pg_post *p)
{
	if (p->is_gone && !f->leaving) {
		pg_output_info(&f->app->out, "pod '%s' is gone", p->name);
		pg_output_event(&f->app->out, "gone", "{s:s}", "pod", p->name);
	}
	add_up(&f->gone, &p->sums);
	for (size_t i = 0; i < f->count; i++) {
		if (f->posts[i] == p) {
			f->posts[i] = f->posts[--f->count];
			break;
		}
	}
	pg_post_free(p);
}

static void on_ended(void *ctx, struct pg_post *p)
{
	struct fleet *f = ctx;
	f->stirred = true;
	if (f->leaving)
		return;
	if (p->is_gone)
		drop_post(f, p);
	else if (p->failures > 0)
		pg_post_failed(p);
}

static struct pg_post *find(struct fleet *f, const char *uid)
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
	struct pg_post *p = pg_post_new(&f->config, change);
	if (!p)
		return pg_fail(err, -ENOMEM, "redirect pod '%s'", change->name);
	p->is_seen = true;
	f->posts[f->count++] = p;
	int rc = pg_post_start(p, err);
	if (rc < 0)
		drop_post(f, p);
	return rc;
}

static void let_go(struct fleet *f, struct pg_post *p)
{
	if (p->is_gone) /* and has been told: the second signal would cut its connections */
		return;
	p->is_gone = true;
	if (p->member)
		pg_post_signal(p, SIGTERM);
	else
		drop_post(f, p);
}

static int take_change(struct fleet *f, const struct pg_pod_change *change, struct pg_err *err)
{
	struct pg_post *p = find(f, change->uid);
	if (f->leaving)
		return 0;
	if (!p)
		return change->is_usable ? add_pod(f, change, err) : 0;
	p->is_seen = true;
	if (change->is_gone)
		let_go(f, p);
	return 0;
}

/* After a time without news: what was deleted meanwhile is told by nobody. */
static void begin_recount(struct fleet *f)
{
	f->recounts = true;
	for (size_t i = 0; i < f->count; i++)
		f->posts[i]->is_seen = false;
}

static void end_recount(struct fleet *f)
{
	for (size_t i = f->count; f->recounts && i-- > 0;)
		if (!f->posts[i]->is_seen)
			let_go(f, f->posts[i]);
	f->recounts = false;
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
	struct pg_post_sums sum = f->gone;
	size_t up = count_up(f);
	for (size_t i = 0; i < f->count; i++)
		add_up(&sum, &f->posts[i]->sums);
	pg_output_status(out,
			 "%s %zu of %zu pods: %lld open, %lld in all, %lld by the app, "
			 "%lld probes, %.1f MB in, %.1f MB out",
			 what, up, f->count, (long long)sum.open, (long long)sum.total,
			 (long long)sum.app, (long long)sum.probes, (double)sum.bytes_in / 1e6,
			 (double)sum.bytes_out / 1e6);
	if (up != f->told_up || f->count != f->told_pods)
		pg_output_event(out, "pods", "{s:I, s:I}", "up", (json_int_t)up, "pods",
				(json_int_t)f->count);
	f->was_up = f->was_up || up > 0;
	f->told_up = up;
	f->told_pods = f->count;
}

static void signal_members(struct fleet *f, int signo)
{
	for (size_t i = 0; i < f->count; i++)
		pg_post_signal(f->posts[i], signo);
}

/* As for one pod: with "-- COMMAND" a signal is that program's, and the second one cuts. */
static void on_signal(void *ctx, int signo)
{
	struct fleet *f = ctx;
	f->signo = signo;
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
	f->stirred = true;
	if (f->leaving) /* the members have been told, or will be */
		return;
	f->leaving = true;
	signal_members(f, f->signo ? f->signo : SIGINT);
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

/* Starts again what is due. The number of pods that are redirected or cannot be. */
static int restart_due(struct fleet *f, size_t *settled_out, struct pg_err *err)
{
	uint64_t now = pg_loop_now_ms(f->app->loop);
	size_t failed = 0, settled = 0;
	int rc = 0;
	for (size_t i = 0; i < f->count && rc == 0; i++) {
		struct pg_post *p = f->posts[i];
		failed += !p->member;
		settled += p->is_up || p->failures > 0;
		if (!p->member && !p->is_given_up && f->was_up && now >= p->again_ms)
			rc = pg_post_start(p, err);
	}
	*settled_out = settled;
	if (rc == 0 && !f->was_up && f->count > 0 && failed == f->count)
		rc = nothing_works(f, err);
	return rc;
}

static int none_appeared(const struct fleet *f, struct pg_err *err)
{
	const char *target = f->job.target.target;
	pg_fail(err, -ETIMEDOUT, "%s has no pod that runs.", target ? target : "the selector");
	return pg_hint(err, PG_TARGET,
		       "is it scaled to 0, or in another namespace (-n)? kubectl get pods");
}

/* Looks after the pods, and starts "-- COMMAND" once every pod of the beginning is redirected, or
 * cannot be. */
static int tick(struct fleet *f, uint64_t began_ms, struct pg_err *err)
{
	size_t settled;
	show_status(f, "redirecting");
	int rc = restart_due(f, &settled, err);
	if (rc < 0)
		return rc;
	if (f->ops->command && !f->child && f->was_up && settled == f->count)
		return pg_child_start(f->app->loop, f->ops->command, on_child_ended, f, &f->child,
				      &f->exit_status, err);
	if (f->count == 0 && !f->was_up &&
	    pg_loop_now_ms(f->app->loop) - began_ms > f->job.target.wait_ms)
		return none_appeared(f, err);
	return 0;
}

/* Takes the next change within a tick. Opens *pods anew where it must. */
static int step(struct fleet *f, struct pg_pod_follow **pods, struct pg_err *err)
{
	const struct pg_platform_ops *ops = f->job.platform->ops;
	struct pg_pod_change change;
	int rc = *pods ? 0 : ops->follow(f->job.platform, &f->job.target, pods, err);
	if (rc == 0)
		rc = ops->next(f->job.platform, *pods, pg_loop_now_ms(f->app->loop) + TICK_MS,
			       &change, err);
	if (rc == 0)
		return take_change(f, &change, err);
	if (rc != -ETIMEDOUT || !*pods)
		return rc;
	end_recount(f);
	return 0;
}

/* Follows the pods until a signal or the end of "-- COMMAND": 0; or until it is of no use. */
static int follow(struct fleet *f, struct pg_err *err)
{
	struct pg_loop *loop = f->app->loop;
	struct pg_pod_follow *pods = NULL;
	struct pg_back_off back_off = { 0 };
	uint64_t began_ms = pg_loop_now_ms(loop), good_ms = began_ms;
	int rc = 0;
	while (!f->leaving && rc == 0) {
		rc = step(f, &pods, err);
		uint64_t now = pg_loop_now_ms(loop);
		if (rc == 0) {
			good_ms = now;
			back_off.wait_ms = 0;
		} else if (f->was_up && !pg_back_off_is_final(err, now - good_ms)) {
			uint8_t dice;
			f->job.platform->ops->unfollow(f->job.platform, pg_take_ptr(&pods));
			begin_recount(f);
			pg_random(&dice, 1);
			pg_loop_wait(loop, &f->leaving, now + pg_back_off_next(&back_off, dice));
			rc = 0;
		}
		if (rc == 0 && !f->leaving)
			rc = tick(f, began_ms, err);
	}
	f->job.platform->ops->unfollow(f->job.platform, pods);
	return f->leaving ? 0 : rc;
}

/* Every member gives its pod back; a second signal reaches them as well. */
static void bring_down(struct fleet *f, bool failed)
{
	pg_loop_interrupt(f->app->loop, false);
	f->leaving = true;
	if (failed) {
		pg_child_end(f->app->loop, f->child, PG_CHILD_END_MS); /* it has nothing to serve */
		signal_members(f, SIGTERM);
	}
	while (count_members(f) > 0) {
		show_status(f, "draining");
		f->stirred = false;
		pg_loop_wait(f->app->loop, &f->stirred, pg_loop_now_ms(f->app->loop) + TICK_MS);
		pg_loop_interrupt(f->app->loop, false);
	}
	pg_output_status_clear(&f->app->out);
	while (f->count > 0)
		drop_post(f, f->posts[0]);
}

int pg_fleet_run(struct pg_app *app, const struct pg_redirect_values *values, const char *target,
		 const struct pg_operands *ops, struct pg_err *err)
{
	pg_auto_free struct fleet *f = pg_calloc(1, sizeof(*f));
	if (!f)
		return pg_fail(err, -ENOMEM, "redirect many pods");
	*f = (struct fleet){ .app = app, .ops = ops, .config = { app, on_ended, is_news, f } };
	int rc = pg_pod_job_reach(app, &values->pod, target, &f->job, err);
	if (rc < 0)
		return rc;
	pg_loop_on_signal(app->loop, on_signal, f);
	rc = follow(f, err);
	bring_down(f, rc < 0);
	pg_loop_on_signal(app->loop, NULL, NULL);
	if (rc == 0)
		pg_output_event(&app->out, "ended", "{s:I}", "connections", f->gone.total);
	if (rc == 0 && f->child && pg_child_has_ended(f->child))
		rc = pg_child_status(f->child);
	else if (rc == 0 && ops->command) /* a signal came before it was started */
		rc = EXIT_SIGNAL + f->signo;
	if (rc < 0 && f->exit_status) {
		pg_output_error(&app->out, err);
		rc = f->exit_status;
	}
	forget_texts(f);
	pg_child_free(f->child);
	pg_pod_job_end(&f->job);
	return rc;
}
