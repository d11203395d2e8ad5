#include "injector/fleet_run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "injector/back_off.h"
#include "injector/child.h"
#include "injector/fleet.h"
#include "injector/lines.h"
#include "injector/pod_job.h"
#include "proto/base/mem.h"

enum {
	TICK_MS = 500,
	EXIT_SIGNAL = 128,
	PATIENCE = 3, /* signals, after which a member that does not end is ended */
};

struct run {
	struct pg_app *app;
	const struct pg_operands *ops;
	struct pg_pod_job job;
	struct pg_fleet fleet;
	struct pg_child *child;
	int exit_status; /* of "-- COMMAND" that could not be started */
	int signo;       /* the last one, ours or the command's */
	unsigned signals;
	bool told_how_to_end;
	uint64_t began_ms;
};

/* The first one gives the pods back, the second one cuts what is open, in every member; the third
 * one is for a member that does not even do that. */
static void leave(struct run *r, int signo)
{
	if (r->fleet.leaving && r->signals == 2)
		pg_output_info(&r->app->out, "cutting; once more to end it all");
	pg_fleet_leave(&r->fleet, r->signals >= PATIENCE ? SIGKILL : signo);
	pg_loop_interrupt(r->app->loop, true);
}

static void on_signal(void *ctx, int signo)
{
	struct run *r = ctx;
	r->signo = signo;
	if (pg_child_takes(r->child, signo))
		return;
	r->signals++;
	leave(r, signo);
}

static void on_child_ended(void *ctx)
{
	struct run *r = ctx;
	r->fleet.stirred = true;
	if (!r->fleet.leaving) /* else the members have been told, or will be */
		leave(r, r->signo ? r->signo : SIGINT);
}

static int none_appeared(const struct run *r, struct pg_err *err)
{
	const struct pg_target_spec *spec = &r->job.target;
	const char *ns = r->app->kube.namespace_; /* or NULL: kubectl's, too */
	if (spec->target)
		pg_fail(err, -ETIMEDOUT, "%s has no pod that runs.", spec->target);
	else
		pg_fail(err, -ETIMEDOUT, "selector '%.200s' has no pod that runs.", spec->selector);
	return pg_hint(err, PG_TARGET,
		       "is it scaled to 0, or in another namespace (-n)? kubectl get pods%s%s",
		       ns ? " -n " : "", ns ? ns : "");
}

/* Members that need a credential get it from here: a plugin may want the terminal, and is run once
 * for all of them. */
static int give_credentials(struct run *r, struct pg_err *err)
{
	struct pg_platform *platform = r->job.platform;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < r->fleet.count; i++) {
		struct pg_post *p = r->fleet.posts[i];
		struct pg_buf line = PG_BUF_INIT(PG_LINE_MAX);
		if (!p->wants_credential)
			continue;
		pg_output_status_clear(&r->app->out);
		char uid[sizeof(p->uid)];
		memcpy(uid, p->uid, sizeof(uid));
		rc = platform->ops->credential(platform, p->credential, &line, err);
		p = pg_fleet_find(&r->fleet, uid); /* meanwhile it may have gone */
		if (rc == 0 && p)
			pg_post_give_credential(p, pg_buf_str(&line), line.len);
		if (line.data)
			explicit_bzero(line.data, line.len);
		pg_buf_fini(&line);
	}
	return rc;
}

/* Looks after the pods, and starts "-- COMMAND" once every pod of the beginning is redirected, or
 * cannot be. */
static int tick(struct run *r, struct pg_err *err)
{
	struct pg_fleet *f = &r->fleet;
	int rc = pg_fleet_tick(f, err);
	if (rc == 0)
		rc = give_credentials(r, err);
	if (rc < 0)
		return rc;
	if (r->ops->command && !r->child && f->was_up && pg_fleet_settled(f) == f->count)
		return pg_child_start(r->app->loop, r->ops->command, on_child_ended, r, &r->child,
				      &r->exit_status, err);
	if (f->was_up && !r->ops->command && !r->told_how_to_end) {
		r->told_how_to_end = true;
		pg_output_info(&r->app->out, "Ctrl-C gives all back");
	}
	if (f->count == 0 && !f->was_up &&
	    pg_loop_now_ms(r->app->loop) - r->began_ms > r->job.target.wait_ms)
		return none_appeared(r, err);
	return 0;
}

/* Takes the next change within a tick: 0, or why there is none to be had. Opens *pods where it
 * must; they stay good after a failure, and then find out what was missed. */
static int step(struct run *r, struct pg_pod_follow **pods, struct pg_err *err)
{
	struct pg_platform *platform = r->job.platform;
	struct pg_pod_change change;
	int rc = *pods ? 0 : platform->ops->follow(platform, &r->job.target, pods, err);
	if (rc == 0)
		rc = platform->ops->next(platform, *pods, pg_loop_now_ms(r->app->loop) + TICK_MS,
					 &change, err);
	if (rc == -ETIMEDOUT && *pods) /* nothing is new */
		return pg_fleet_fill(&r->fleet, err);
	if (rc == 0)
		rc = pg_fleet_take(&r->fleet, &change, err);
	return rc == 0 && !change.has_more ? pg_fleet_fill(&r->fleet, err) : rc;
}

/* Follows the pods until a signal or the end of "-- COMMAND": 0; or until it is of no use. */
static int follow(struct run *r, struct pg_err *err)
{
	struct pg_loop *loop = r->app->loop;
	struct pg_pod_follow *pods = NULL;
	struct pg_back_off back_off = { 0 };
	uint64_t good_ms = r->began_ms;
	int rc = 0;
	while (!r->fleet.leaving && rc == 0) {
		rc = step(r, &pods, err);
		uint64_t now = pg_loop_now_ms(loop);
		if (rc == 0) {
			good_ms = now;
			back_off.wait_ms = 0;
		} else if (r->fleet.was_up && !pg_back_off_is_final(err, now - good_ms)) {
			uint8_t dice;
			pg_random(&dice, 1);
			pg_loop_wait(loop, &r->fleet.leaving,
				     now + pg_back_off_next(&back_off, dice));
			rc = 0;
		}
		if (rc == 0 && !r->fleet.leaving)
			rc = tick(r, err);
	}
	r->job.platform->ops->unfollow(r->job.platform, pods);
	return r->fleet.leaving ? 0 : rc;
}

static void say_draining(struct run *r)
{
	struct pg_fleet *f = &r->fleet;
	json_int_t open = 0;
	for (size_t i = 0; i < f->count; i++)
		open += f->posts[i]->sums.open;
	if (open > 0)
		pg_output_info(&r->app->out, "draining %lld connection%s, Ctrl-C again to cut",
			       (long long)open, open == 1 ? "" : "s");
}

/* Every member gives its pod back; a second signal reaches them as well. */
static void bring_down(struct run *r, bool failed)
{
	struct pg_fleet *f = &r->fleet;
	struct pg_loop *loop = r->app->loop;
	pg_loop_interrupt(loop, false);
	f->leaving = true;
	if (failed) {
		pg_child_end(loop, r->child, PG_CHILD_END_MS); /* it has nothing to serve */
		pg_fleet_leave(f, SIGTERM);
	}
	say_draining(r);
	while (pg_fleet_members(f) > 0) {
		struct pg_err why;
		pg_fleet_show(f, "draining");
		give_credentials(r,
				 &why); /* for the event of --event; without one that is missed */
		f->stirred = false;
		pg_loop_wait(loop, &f->stirred, pg_loop_now_ms(loop) + TICK_MS);
		pg_loop_interrupt(loop, false);
	}
	pg_output_status_clear(&r->app->out);
	pg_fleet_fini(f);
}

/* What the end of it all means. `rc`: of following the pods. */
static int exit_status(struct run *r, int rc, struct pg_err *err)
{
	if (rc < 0 && !r->exit_status)
		return rc;
	if (rc < 0) {
		pg_output_error(&r->app->out, err);
		return r->exit_status;
	}
	if (r->child && pg_child_has_ended(r->child))
		return pg_child_status(r->child);
	if (!r->ops->command && r->fleet.was_up)
		return 0;
	return EXIT_SIGNAL + r->signo; /* a signal came before anything was up */
}

int pg_fleet_run(struct pg_app *app, const struct pg_redirect_values *values, const char *target,
		 const struct pg_operands *ops, struct pg_err *err)
{
	pg_auto_free struct run *r = pg_calloc(1, sizeof(*r));
	if (!r)
		return pg_fail(err, -ENOMEM, "redirect many pods");
	r->app = app;
	r->ops = ops;
	r->began_ms = pg_loop_now_ms(app->loop);
	pg_fleet_init(&r->fleet, app);
	int rc = pg_pod_job_reach(app, &values->pod, target, &r->job, err);
	if (rc < 0)
		return rc;
	pg_loop_on_signal(app->loop, on_signal, r);
	rc = follow(r, err);
	bring_down(r, rc < 0);
	pg_loop_on_signal(app->loop, NULL, NULL);
	if (rc == 0)
		pg_fleet_say_ended(&r->fleet);
	rc = exit_status(r, rc, err);
	pg_child_free(r->child);
	pg_pod_job_end(&r->job);
	return rc;
}
