#include "injector/redirect_run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "injector/leash.h"
#include "injector/owner.h"
#include "injector/redirect_note.h"
#include "injector/redirect_run_impl.h"
#include "proto/base/mem.h"

enum {
	STATUS_MS = 500,
	STEP_MS = 20,
	TERM_DRAIN_MS = 10000, /* SIGTERM lets open connections go on for so long */
	LAST_COUNTS_MS = 3000, /* longer than the agent waits for an answer of ours */
};

/* Ends what waits, also attempts to come back. */
static void leave(struct pg_run *r)
{
	r->leaving = r->stirred = true;
	if (r->is_returning || r->is_lost)
		pg_loop_interrupt(r->app->loop, true);
}

static void on_signal(void *ctx, int signo)
{
	struct pg_run *r = ctx;
	r->signo = signo;
	if (pg_child_takes(r->child, signo))
		return;
	r->interrupts++;
	if (r->leaving)
		pg_loop_interrupt(r->app->loop, true); /* the second one waits for nothing */
	else
		leave(r);
}

static void on_child_ended(void *ctx)
{
	leave(ctx);
}

static void on_status(uv_timer_t *timer)
{
	struct pg_run *r = timer->data;
	pg_run_say_counts(r);
	pg_run_show_status(r, r->interrupts ? "draining" : "redirecting");
}

static bool has_open(const struct pg_run *r)
{
	return pg_redirect_set_counts(r->redirects).open > 0;
}

static bool has_undecided(const struct pg_run *r)
{
	return pg_redirect_set_counts(r->redirects).undecided > 0;
}

/* Until `goes_on` is over, or more signals have come than those `seen`. */
static void wait_while(struct pg_run *r, bool (*goes_on)(const struct pg_run *r), unsigned seen,
		       uint64_t deadline_ms)
{
	struct pg_loop *loop = r->app->loop;
	while (goes_on(r) && !r->is_lost && r->interrupts == seen &&
	       pg_loop_now_ms(loop) < deadline_ms) {
		r->stirred = false;
		pg_loop_wait(loop, &r->stirred, pg_loop_now_ms(loop) + STEP_MS);
	}
}

/* Until no connection is open. */
static void drain(struct pg_run *r, unsigned seen)
{
	struct pg_output *out = &r->app->out;
	size_t open = pg_redirect_set_counts(r->redirects).open;
	uint64_t deadline = UINT64_MAX;
	if (open == 0)
		return;
	if (r->signo == SIGTERM || r->signo == SIGHUP)
		deadline = pg_loop_now_ms(r->app->loop) + TERM_DRAIN_MS;
	pg_output_info(out, "draining %zu connection%s, Ctrl-C again to cut", open,
		       open == 1 ? "" : "s");
	pg_output_event(out, "draining", "{s:i}", "connections", (int)open);
	wait_while(r, has_open, seen, deadline);
}

static void bring_down(struct pg_run *r)
{
	unsigned seen = r->interrupts;
	/* Half up, what is armed ends with the session: nobody waits for answers. */
	bool is_half_up = r->is_returning && pg_redirect_set_counts(r->redirects).open == 0;
	r->leaving = true;
	pg_loop_interrupt(r->app->loop, false);
	if (r->tunnel && r->redirects && !is_half_up)
		pg_redirect_set_stop(r->redirects, r->tunnel);
	if (r->redirects) {
		drain(r, seen);
		wait_while(r, has_undecided, seen, pg_loop_now_ms(r->app->loop) + LAST_COUNTS_MS);
	}
	pg_output_status_clear(&r->app->out);
	if (r->redirects)
		pg_redirect_set_cut(r->redirects);
	pg_loop_interrupt(r->app->loop, false);
	pg_tunnel_close(pg_take_ptr(&r->tunnel));
	if (r->redirects)
		pg_redirect_set_disarmed(r->redirects); /* an event that is left may wait yet */
}

/* What others ended is not taken back; connections that are open go on to their end. */
static int let_go(struct pg_run *r, struct pg_err *err)
{
	*err = r->over;
	if (r->child) /* which serves them; it is ended next */
		drain(r, r->interrupts);
	return err->code;
}

/* Serves until a signal or the end of "-- CMD", whose status it then returns. */
static int stay_up(struct pg_run *r, struct pg_err *err)
{
	int rc = 0;
	while (!r->leaving && rc == 0) {
		r->stirred = r->is_lost || r->over.code;
		pg_loop_serve(r->app->loop, &r->stirred);
		if (r->over.code && !r->leaving)
			rc = let_go(r, err);
		else if (r->is_lost && !r->leaving)
			rc = pg_run_come_back(r, err);
	}
	if (r->child && pg_child_has_ended(r->child))
		return pg_child_status(r->child);
	if (r->child && rc < 0) /* it has nothing to serve any more */
		pg_child_end(r->app->loop, r->child, PG_CHILD_END_MS);
	return rc;
}

static int serve(struct pg_run *r, struct pg_err *err)
{
	int code = 0;
	if (r->ops->command && pg_child_start(r->app->loop, r->ops->command, on_child_ended, r,
					      &r->child, &code, err) < 0) {
		pg_output_error(&r->app->out, err);
		return code;
	}
	pg_run_say_up(r, "ready");
	pg_run_leave_note(r);
	for (size_t i = 0; i < r->wants.count; i++)
		pg_run_warn_of_probes(r, &r->wants.items[i]);
	if (!r->child) {
		pg_output_info(&r->app->out, "Ctrl-C gives %s back",
			       r->wants.count == 1 ? "it" : "them");
		for (size_t i = 0; i < r->wants.count; i++)
			pg_run_warn_if_closed(r, &r->wants.items[i]);
	}
	if (!r->child || r->app->out.format == PG_FORMAT_JSON) /* its terminal has no live line */
		uv_timer_start(&r->status, on_status, 0, STATUS_MS);
	return stay_up(r, err);
}

/* Everything between "the pod is known" and "nothing is left". */
static int redirect(struct pg_run *r, struct pg_err *err)
{
	int rc = pg_run_plan(r, err);
	if (rc == 0)
		rc = pg_run_link_up(r, err);
	if (rc == 0) {
		pg_back_off_up(&r->back_off, pg_loop_now_ms(r->app->loop), false);
		pg_loop_on_signal(r->app->loop, on_signal, r);
		rc = serve(r, err);
	}
	uv_timer_stop(&r->status);
	bring_down(r);
	pg_loop_on_signal(r->app->loop, NULL, NULL);
	if (r->noted[0] && strcmp(r->noted, r->job.pod.uid) == 0)
		pg_redirect_note(&r->job, &r->wants, r->owner, true);
	if (rc >= 0)
		pg_run_say_ended(r);
	pg_redirect_set_free(r->redirects);
	pg_child_free(r->child);
	return rc;
}

static void on_run_closed(uv_handle_t *handle)
{
	free(handle->data);
}

int pg_redirect_run(struct pg_app *app, const struct pg_redirect_values *values, const char *target,
		    const struct pg_operands *ops, struct pg_err *err)
{
	struct pg_run *r = pg_calloc(1, sizeof(*r));
	if (!r)
		return pg_fail(err, -ENOMEM, "start a redirect");
	r->app = app;
	r->values = values;
	r->ops = ops;
	uv_timer_init(pg_loop_uv(app->loop), &r->status);
	r->status.data = r;
	pg_owner_name(r->owner);
	struct pg_leash *leash = NULL;
	if (values->pod.only)
		leash = pg_leash_new(app->loop, &app->out, err);
	if (leash)
		app->credentials = pg_leash_credentials(leash);
	int rc = values->pod.only && !leash ? err->code : 0;
	if (rc == 0)
		rc = pg_pod_job_begin(app, &values->pod, target, PG_PROFILE_REDIRECT, &r->job, err);
	if (rc == 0) {
		pg_random(r->session, sizeof(r->session));
		rc = redirect(r, err);
		pg_pod_job_end(&r->job);
	}
	pg_leash_free(leash);
	uv_close((uv_handle_t *)&r->status, on_run_closed);
	return rc;
}
