#include "injector/redirect_run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "injector/back_off.h"
#include "injector/child.h"
#include "injector/leash.h"
#include "injector/owner.h"
#include "injector/pod_job.h"
#include "injector/redirect.h"
#include "injector/redirect_note.h"
#include "injector/to_resolve.h"
#include "injector/wants.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"
#include "proto/io/sock.h"

enum {
	STATUS_MS = 500,
	CALLS_A_SECOND = 100,  /* connections that are told of one by one */
	TERM_DRAIN_MS = 10000, /* SIGTERM lets open connections go on for so long */
	CHILD_END_MS = 5000,   /* for "-- CMD" to end when its redirect is gone for good */
};

/* One run of the command. */
struct run {
	struct pg_app *app;
	const struct pg_redirect_values *values;
	struct pg_pod_job job;
	struct pg_tunnel *tunnel;
	struct pg_redirects *redirects;
	struct pg_child *child;
	struct pg_wants wants;
	uint8_t session[PG_SESSION_BYTES];
	char owner[PG_OWNER_MAX + 1];
	struct pg_redirect_manner manner;
	struct pg_redirect_scope scope;
	struct pg_rate calls; /* that are told of */
	char mechanism[32];
	struct pg_err lost; /* why the link is gone */
	bool is_lost;
	bool is_gone;                /* the target is not there any more */
	char noted[PG_NAME_MAX + 1]; /* uid of the pod that an event tells of us on; "": none */
	bool is_note_refused;
	struct pg_err over; /* why there is nothing left to serve, by the will of others; code 0 */
	struct pg_back_off back_off;
	unsigned interrupts; /* signals since the redirect was up */
	int signo;
	bool leaving; /* a signal, or "-- CMD" has ended: give everything back */
	bool stirred; /* something that ends the current wait has happened */
	uv_timer_t status;
	struct pg_redirect_counts shown; /* by the last event "counts" */
};

/* Ends what waits, also attempts to come back. */
static void leave(struct run *r)
{
	r->leaving = r->stirred = true;
	if (r->is_lost || !r->tunnel)
		pg_loop_interrupt(r->app->loop, true);
}

/* With "-- CMD" a signal is that program's to handle; the terminal gives it Ctrl-C by itself. */
static void on_signal(void *ctx, int signo)
{
	struct run *r = ctx;
	if (r->child && !pg_child_has_ended(r->child)) {
		if (signo != SIGINT)
			pg_child_signal(r->child, signo);
		return;
	}
	r->interrupts++;
	r->signo = signo;
	if (r->leaving)
		pg_loop_interrupt(r->app->loop, true); /* the second one waits for nothing */
	else
		leave(r);
}

static void on_child_ended(void *ctx)
{
	leave(ctx);
}

static void on_lost(void *ctx, const struct pg_err *why)
{
	struct run *r = ctx;
	r->lost = *why;
	r->is_lost = true;
	r->stirred = true;
}

static enum pg_reset on_opened(void *ctx, struct pg_stream *s, const Podgraft__V1__Open *open,
			       struct pg_relay **relay_out)
{
	struct run *r = ctx;
	return pg_redirects_opened(r->redirects, s, open, relay_out);
}

/* One port is somebody else's now; with the last one there is nothing left to do. */
static void on_taken(void *ctx, const struct pg_redirect_want *want, const char *by)
{
	struct run *r = ctx;
	struct pg_redirect_counts n = pg_redirects_counts(r->redirects);
	bool is_last = n.taken == n.redirects;
	pg_output_event(&r->app->out, "taken", "{s:i, s:s, s:o*}", "port", want->pod_port, "by", by,
			"outgoing", want->outgoing ? json_true() : NULL);
	if (!is_last && r->app->out.format == PG_FORMAT_TEXT)
		pg_output_warn(&r->app->out, "%sport %u was taken over by %s",
			       pg_redirect_word(want), want->pod_port, by);
	if (!is_last)
		return;
	pg_fail(&r->over, -EBUSY, "%sport %u was taken over by %s.", pg_redirect_word(want),
		want->pod_port, by);
	pg_hint(&r->over, PG_TARGET, "ask them, or take it back with --take-over");
	r->stirred = true;
}

/* `podgraft undo`, with the same key: it is not for us to come back. */
static void on_undone(struct run *r, const char *said)
{
	char by[PG_OWNER_MAX + 1];
	snprintf(by, sizeof(by), "%s", said);
	pg_sanitize(by);
	pg_fail(&r->over, -ECONNABORTED, "ended by podgraft undo of %s.",
		by[0] ? by : "somebody with the same key");
	pg_hint(&r->over, PG_TARGET, "start it again when you want it back");
	r->stirred = true;
}

static void on_told(void *ctx, const Podgraft__V1__Control *msg)
{
	struct run *r = ctx;
	if (msg->body_case == PODGRAFT__V1__CONTROL__BODY_UNDONE)
		on_undone(r, msg->undone->by);
	else
		pg_redirects_told(r->redirects, r->tunnel, msg);
}

/* Who calls whom: with -v, and in JSON where nobody could know it otherwise. */
static void on_connection(void *ctx, const struct pg_redirect_want *want,
			  const struct sockaddr_storage *peer, const struct sockaddr_storage *local)
{
	struct run *r = ctx;
	char from[PG_ADDR_TEXT], to[PG_ADDR_TEXT];
	uint32_t pass = pg_rate_pass(&r->calls, CALLS_A_SECOND, 1000, pg_loop_now_ms(r->app->loop));
	if (pass == 0)
		return;
	pg_addr_text(peer, from);
	pg_addr_text(local, to);
	pg_log(&r->app->out.log, PG_DEBUG, "%sport %u: a connection from %s to %s",
	       pg_redirect_word(want), want->pod_port, from, to);
	if (want->outgoing)
		pg_output_event(&r->app->out, "connection", "{s:i, s:s, s:s, s:i}", "port",
				want->pod_port, "from", from, "to", to, "untold", (int)pass - 1);
}

static void show_status(struct run *r, const char *what)
{
	struct pg_redirect_counts n = pg_redirects_counts(r->redirects);
	if (!r->tunnel || pg_tunnel_is_lost(r->tunnel)) /* on the way back after a loss */
		return;
	struct pg_tunnel_traffic got = pg_tunnel_traffic(r->tunnel);
	if (r->values->pod.only) /* one of many: whoever started us adds us up */
		pg_output_event(&r->app->out, "status", "{s:I, s:I, s:I, s:I}", "open",
				(json_int_t)n.open, "total", (json_int_t)n.total, "bytes_in",
				(json_int_t)got.in, "bytes_out", (json_int_t)got.out);
	char others[64] = "";
	if (n.app + n.probes > 0)
		snprintf(others, sizeof(others), ", %llu by the app, %llu probes",
			 (unsigned long long)n.app, (unsigned long long)n.probes);
	pg_output_status(&r->app->out,
			 "%s: %zu open, %llu in all%s, %.1f MB in, %.1f MB out, %.1f ms",
			 n.parked && n.parked == n.redirects ? "parked" : what, n.open,
			 (unsigned long long)n.total, others, (double)got.in / 1e6,
			 (double)got.out / 1e6, (double)got.rtt_us / 1e3);
}

/* Who served whom, for programs; when it has changed. */
static void say_counts(struct run *r)
{
	struct pg_redirect_counts n = pg_redirects_counts(r->redirects), *was = &r->shown;
	if (n.laptop == was->laptop && n.app == was->app && n.probes == was->probes &&
	    n.refused == was->refused && n.parked == was->parked)
		return;
	*was = n;
	pg_output_event(&r->app->out, "counts", "{s:I, s:I, s:I, s:I, s:I}", "laptop",
			(json_int_t)n.laptop, "app", (json_int_t)n.app, "probes",
			(json_int_t)n.probes, "refused", (json_int_t)n.refused, "parked",
			(json_int_t)n.parked);
}

static void on_status(uv_timer_t *timer)
{
	struct run *r = timer->data;
	say_counts(r);
	show_status(r, r->interrupts ? "draining" : "redirecting");
}

/* ---- up ----------------------------------------------------------------------------------- */

/* A closed local port is worth a word, never a failure: the program may start later. */
static void warn_if_closed(struct run *r, const struct pg_redirect_want *w)
{
	char text[PG_ADDR_TEXT];
	const bool never = false;
	int fd = pg_sock_connect((const struct sockaddr *)&w->local, 0);
	if (fd >= 0) {
		pg_loop_wait(r->app->loop, &never, pg_loop_now_ms(r->app->loop) + 1);
		int code = pg_sock_error(fd);
		close(fd);
		if (code != -ECONNREFUSED)
			return;
	}
	pg_addr_text(&w->local, text);
	if (w->outgoing)
		pg_output_warn(&r->app->out,
			       "nobody listens on %s yet: until somebody does, connections to port "
			       "%u go where the pod means them to",
			       text, w->pod_port);
	else
		pg_output_warn(&r->app->out,
			       "nobody listens on %s yet: until somebody does, the app in the pod "
			       "answers port %u",
			       text, w->pod_port);
}

/* Probes that the local program will answer although nobody said so. */
static void warn_of_probes(struct run *r, const struct pg_redirect_want *w)
{
	const struct pg_pod_probes *probes = &r->job.pod.probes;
	char local[PG_ADDR_TEXT], text[512];
	pg_addr_text(&w->local, local);
	for (size_t i = 0; i < probes->count && !w->outgoing && !r->values->take_probes; i++)
		if (pg_probe_warning(&probes->items[i], w->pod_port, local, r->values->no_local,
				     text, sizeof(text)))
			pg_output_warn(&r->app->out, "%s", text);
}

/* What now reaches what: when it is up (event "ready"), and when it is up again ("resumed"). */
static void say_up(struct run *r, const char *event)
{
	struct pg_output *out = &r->app->out;
	const char *transport = r->job.platform->ops->transport(r->job.platform);
	json_t *list = json_array();
	char text[PG_ADDR_TEXT];
	for (size_t i = 0; i < r->wants.count; i++) {
		const struct pg_redirect_want *w = &r->wants.items[i];
		pg_addr_text(&w->local, text);
		json_array_append_new(list, json_pack("{s:i, s:s, s:o*}", "port", w->pod_port,
						      "local", text, "outgoing",
						      w->outgoing ? json_true() : NULL));
		if (w->outgoing)
			pg_output_info(
				out, "what pod '%s' sends to port %u of %s now reaches %s (%s)",
				r->job.pod.name, w->pod_port,
				r->scope.to_count > 0 ? "those named" : "others", text, transport);
		else
			pg_output_info(out, "port %u of pod '%s' now reaches %s (%s, %s)",
				       w->pod_port, r->job.pod.name, text, r->mechanism, transport);
	}
	pg_output_event(out, event, "{s:s, s:s, s:s, s:s, s:b, s:o}", "pod", r->job.pod.name,
			"container", pg_tunnel_graft(r->tunnel)->container, "transport", transport,
			"mechanism", r->mechanism, "reused", pg_tunnel_graft(r->tunnel)->reused,
			"redirects", list);
}

/* With --event: on each pod once. */
static void leave_note(struct run *r)
{
	if (!r->values->event || r->is_note_refused || strcmp(r->noted, r->job.pod.uid) == 0)
		return;
	r->is_note_refused = !pg_redirect_note(&r->job, &r->wants, r->owner, false);
	if (!r->is_note_refused)
		memcpy(r->noted, r->job.pod.uid, sizeof(r->noted));
}

/* Grafts, links and arms everything that is wanted. */
static int link_up(struct run *r, struct pg_err *err)
{
	struct pg_tunnel_config config = { .loop = r->app->loop,
					   .platform = r->job.platform,
					   .pod = &r->job.pod,
					   .spec = &r->job.spec,
					   .session = r->session,
					   .events = { on_opened, on_told, on_lost },
					   .ctx = r };
	int rc = pg_tunnel_open(&config, &r->tunnel, err);
	if (rc == 0 && r->wants.count == 0)
		rc = pg_wants_all(&r->job.pod, r->values->local_address, r->values->pod.container,
				  r->tunnel, &r->wants, err);
	for (size_t i = pg_redirects_counts(r->redirects).redirects; rc == 0 && i < r->wants.count;
	     i++)
		rc = pg_redirects_add(r->redirects, &r->wants.items[i], err);
	if (r->values->take_over)
		r->app->waits_for = "whoever has the port to give it up";
	if (rc == 0)
		rc = pg_redirects_arm(r->redirects, r->tunnel, r->mechanism, err);
	r->app->waits_for = NULL;
	return rc;
}

/* ---- back after a loss -------------------------------------------------------------------- */

/* A signal or the end of "-- CMD" ends the wait. */
static void wait_before_next(struct run *r)
{
	uint8_t dice;
	pg_random(&dice, 1);
	uint64_t wait_ms = pg_back_off_next(&r->back_off, dice);
	if (wait_ms == 0)
		return;
	pg_output_status(&r->app->out, "link lost: %s; trying again", r->lost.what);
	pg_loop_wait(r->app->loop, &r->leaving, pg_loop_now_ms(r->app->loop) + wait_ms);
}

static int try_again(struct run *r, struct pg_err *err)
{
	pg_tunnel_close(pg_take_ptr(&r->tunnel));
	r->is_lost = false;
	pg_redirects_disarmed(r->redirects);
	int rc = pg_pod_job_again(&r->job, err);
	r->is_gone = rc == -ENOENT && err->whose == PG_TARGET;
	return rc < 0 ? rc : link_up(r, err);
}

/* Something answers in the place of our agent, and is not it: worth a word, once, even if a new
 * agent takes over in a moment. */
static void warn_of_stranger(struct run *r, const struct pg_err *err, bool *was_told)
{
	if (err->code != -EACCES || err->whose != PG_TARGET || *was_told)
		return;
	*was_told = true;
	pg_output_warn(&r->app->out, "pod '%s': %s; %s", r->job.pod.name, err->what, err->hint);
}

/* The link is lost, and the app serves its clients itself: comes back with everything as it was. */
static int come_back(struct run *r, struct pg_err *err)
{
	uint64_t since = pg_loop_now_ms(r->app->loop);
	bool suspects = false;
	int rc;
	pg_back_off_lost(&r->back_off, since);
	if (r->app->out.format == PG_FORMAT_TEXT) /* else the event says it */
		pg_output_warn(&r->app->out,
			       "pod '%s': link lost: %s; the app answers until it is back",
			       r->job.pod.name, r->lost.what);
	pg_output_event(&r->app->out, "lost", "{s:s}", "message", r->lost.what);
	for (;;) {
		wait_before_next(r);
		if (r->leaving)
			return 0;
		rc = try_again(r, err);
		if (rc == 0)
			break;
		warn_of_stranger(r, err, &suspects);
		if (r->is_gone || pg_back_off_is_final(err, pg_loop_now_ms(r->app->loop) - since))
			return r->leaving ? 0 : rc;
	}
	pg_back_off_up(&r->back_off, pg_loop_now_ms(r->app->loop),
		       !pg_tunnel_graft(r->tunnel)->reused);
	say_up(r, "resumed");
	leave_note(r);
	return 0;
}

/* ---- down --------------------------------------------------------------------------------- */

/* Until no connection is open, or more signals have come than those `seen`. */
static void drain(struct run *r, unsigned seen)
{
	struct pg_output *out = &r->app->out;
	size_t open = pg_redirects_counts(r->redirects).open;
	uint64_t deadline = UINT64_MAX;
	if (open == 0)
		return;
	if (r->signo == SIGTERM || r->signo == SIGHUP)
		deadline = pg_loop_now_ms(r->app->loop) + TERM_DRAIN_MS;
	pg_output_info(out, "draining %zu connection%s, Ctrl-C again to cut", open,
		       open == 1 ? "" : "s");
	pg_output_event(out, "draining", "{s:i}", "connections", (int)open);
	while (pg_redirects_counts(r->redirects).open > 0 && !r->is_lost && r->interrupts == seen &&
	       pg_loop_now_ms(r->app->loop) < deadline) {
		r->stirred = false;
		pg_loop_wait(r->app->loop, &r->stirred, pg_loop_now_ms(r->app->loop) + 50);
	}
}

static void bring_down(struct run *r)
{
	unsigned seen = r->interrupts;
	r->leaving = true;
	pg_loop_interrupt(r->app->loop, false);
	if (r->tunnel && r->redirects)
		pg_redirects_stop(r->redirects, r->tunnel);
	if (r->redirects)
		drain(r, seen);
	pg_output_status_clear(&r->app->out);
	if (r->redirects)
		pg_redirects_cut(r->redirects);
	pg_loop_interrupt(r->app->loop, false);
	pg_tunnel_close(r->tunnel);
	r->tunnel = NULL;
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* "-- CMD" has nothing to serve any more: it is asked to end, and gets a little time to. */
static void end_child(struct run *r)
{
	pg_child_signal(r->child, SIGTERM);
	r->stirred = false;
	pg_loop_wait(r->app->loop, &r->stirred, pg_loop_now_ms(r->app->loop) + CHILD_END_MS);
}

/* What others ended is not taken back; connections that are open go on to their end. */
static int let_go(struct run *r, struct pg_err *err)
{
	*err = r->over;
	if (r->child) /* which serves them; it is ended next */
		drain(r, r->interrupts);
	return err->code;
}

/* Serves until a signal or the end of "-- CMD", whose status it then returns. */
static int stay_up(struct run *r, struct pg_err *err)
{
	int rc = 0;
	while (!r->leaving && rc == 0) {
		r->stirred = r->is_lost || r->over.code;
		pg_loop_serve(r->app->loop, &r->stirred);
		if (r->over.code && !r->leaving)
			rc = let_go(r, err);
		else if (r->is_lost && !r->leaving)
			rc = come_back(r, err);
	}
	if (r->child && pg_child_has_ended(r->child))
		return pg_child_status(r->child);
	if (r->child && rc < 0)
		end_child(r);
	return rc;
}

static int serve(struct run *r, const struct pg_operands *ops, struct pg_err *err)
{
	int code = 0;
	if (ops->command && pg_child_start(r->app->loop, ops->command, on_child_ended, r, &r->child,
					   &code, err) < 0) {
		pg_output_error(&r->app->out, err);
		return code;
	}
	say_up(r, "ready");
	leave_note(r);
	for (size_t i = 0; i < r->wants.count; i++)
		warn_of_probes(r, &r->wants.items[i]);
	if (!r->child) {
		pg_output_info(&r->app->out, "Ctrl-C gives %s back",
			       r->wants.count == 1 ? "it" : "them");
		for (size_t i = 0; i < r->wants.count; i++)
			warn_if_closed(r, &r->wants.items[i]);
		uv_timer_start(&r->status, on_status, 0, STATUS_MS);
	}
	return stay_up(r, err);
}

static void say_ended(struct run *r)
{
	struct pg_redirect_counts n = pg_redirects_counts(r->redirects);
	pg_output_event(&r->app->out, "ended", "{s:I, s:I, s:I, s:I, s:I}", "connections",
			(json_int_t)n.total, "refused", (json_int_t)n.refused, "laptop",
			(json_int_t)n.laptop, "app", (json_int_t)n.app, "probes",
			(json_int_t)n.probes);
}

/* What the options say of outgoing connections. */
static int want_outgoing(struct run *r, struct pg_err *err)
{
	const struct pg_redirect_values *v = r->values;
	uint64_t uid = 0;
	if (v->uid && pg_parse_u64(v->uid, 0, UINT32_MAX - 1, &uid) < 0) {
		pg_fail(err, -EINVAL, "--uid '%.40s' is no number of a user", v->uid);
		return pg_hint(err, PG_USER, "for example --uid 1000, as 'podgraft ps' shows it");
	}
	r->scope.only_uid = v->uid != NULL;
	r->scope.uid = (uint32_t)uid;
	int rc = pg_wants_outgoing(v->local_address, &v->outgoing, &r->wants, err);
	if (rc < 0)
		return rc;
	return pg_to_resolve(r->app->loop, r->job.platform, r->job.pod.ns, &v->to, &r->app->out,
			     &r->scope, err);
}

/* Everything between "the pod is known" and "nothing is left". */
static int redirect(struct run *r, const struct pg_operands *ops, struct pg_err *err)
{
	int first_port = r->values->pod.selector ? 0 : 1;
	r->manner =
		(struct pg_redirect_manner){ .no_local = r->values->no_local,
					     .no_fallback = r->values->no_fallback,
					     .take_over = r->values->take_over,
					     .owner = r->owner,
					     .probes = r->values->take_probes ? NULL
									      : &r->job.pod.probes,
					     .taken = on_taken,
					     .wire = r->values->wire,
					     .proxy = (enum pg_proxy_version)r->values->proxy,
					     .scope = &r->scope,
					     .opened = on_connection,
					     .ctx = r };
	r->redirects = pg_redirects_new(r->app->loop, &r->app->out.log, &r->manner);
	if (!r->redirects)
		return pg_fail(err, -ENOMEM, "start a redirect");
	int rc = pg_wants_named(&r->job.pod, r->values->local_address, ops->items + first_port,
				ops->count - first_port, &r->wants, err);
	if (rc == 0)
		rc = want_outgoing(r, err);
	if (rc == 0)
		rc = link_up(r, err);
	if (rc == 0) {
		pg_back_off_up(&r->back_off, pg_loop_now_ms(r->app->loop), false);
		pg_loop_on_signal(r->app->loop, on_signal, r);
		rc = serve(r, ops, err);
	}
	uv_timer_stop(&r->status);
	bring_down(r);
	pg_loop_on_signal(r->app->loop, NULL, NULL);
	if (r->noted[0] && strcmp(r->noted, r->job.pod.uid) == 0)
		pg_redirect_note(&r->job, &r->wants, r->owner, true);
	if (rc >= 0)
		say_ended(r);
	pg_redirects_free(r->redirects);
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
	struct run *r = pg_calloc(1, sizeof(*r));
	if (!r)
		return pg_fail(err, -ENOMEM, "start a redirect");
	r->app = app;
	r->values = values;
	uv_timer_init(pg_loop_uv(app->loop), &r->status);
	r->status.data = r;
	pg_owner_name(r->owner);
	struct pg_leash *leash = NULL;
	if (values->pod.only)
		leash = pg_leash_new(app->loop, err);
	int rc = values->pod.only && !leash ? err->code : 0;
	if (rc == 0)
		rc = pg_pod_job_begin(app, &values->pod, target, PG_PROFILE_REDIRECT, &r->job, err);
	if (rc == 0) {
		pg_random(r->session, sizeof(r->session));
		rc = redirect(r, ops, err);
		pg_pod_job_end(&r->job);
	}
	pg_leash_free(leash);
	uv_close((uv_handle_t *)&r->status, on_run_closed);
	return rc;
}
