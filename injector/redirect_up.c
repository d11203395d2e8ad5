#include "injector/redirect_run_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "injector/redirect_note.h"
#include "injector/to_resolve.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"

enum { CALLS_A_SECOND = 100 }; /* connections that are told of one by one */

static void on_lost(void *ctx, const struct pg_err *why)
{
	struct pg_run *r = ctx;
	r->lost = *why;
	pg_sanitize(r->lost.what); /* an agent's or a server's words, maybe cut within a letter */
	r->is_lost = true;
	r->stirred = true;
}

static enum pg_reset on_opened(void *ctx, struct pg_stream *s, const Podgraft__V1__Open *open,
			       struct pg_relay **relay_out)
{
	struct pg_run *r = ctx;
	return pg_redirect_set_opened(r->redirects, s, open, relay_out);
}

/* One port is somebody else's now; with the last one there is nothing left to do. */
static void on_taken(void *ctx, const struct pg_redirect_want *want, const char *by)
{
	struct pg_run *r = ctx;
	struct pg_redirect_counts n = pg_redirect_set_counts(r->redirects);
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
static void on_undone(struct pg_run *r, const char *said)
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
	struct pg_run *r = ctx;
	if (msg->body_case == PODGRAFT__V1__CONTROL__BODY_UNDONE)
		on_undone(r, msg->undone->by);
	else
		pg_redirect_set_told(r->redirects, r->tunnel, msg);
}

/* Who calls whom: with -v, and in JSON where nobody could know it otherwise. */
static void on_connection(void *ctx, const struct pg_redirect_want *want,
			  const struct sockaddr_storage *peer, const struct sockaddr_storage *local)
{
	struct pg_run *r = ctx;
	char from[PG_ADDR_TEXT], to[PG_ADDR_TEXT];
	uint32_t pass =
		pg_quota_pass(&r->calls, CALLS_A_SECOND, 1000, pg_loop_now_ms(r->app->loop));
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

/* What the options say of outgoing connections. */
static int want_outgoing(struct pg_run *r, struct pg_err *err)
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
	return pg_to_resolve(&r->job, &v->to, &r->wants, &r->scope, err);
}

/* What the words say of incoming connections: none for all that the pod listens on. */
static int want_named(struct pg_run *r, struct pg_wants *out, struct pg_err *err)
{
	int first_port = r->values->pod.selector ? 0 : 1;
	return pg_wants_named(&r->job.pod, r->values->local_address, r->ops->items + first_port,
			      r->ops->count - first_port, out, err);
}

int pg_run_plan(struct pg_run *r, struct pg_err *err)
{
	const struct pg_redirect_values *v = r->values;
	r->manner =
		(struct pg_redirect_manner){ .no_local = v->no_local,
					     .no_fallback = v->no_fallback,
					     .take_over = v->take_over,
					     .owner = r->owner,
					     .probes = v->take_probes ? NULL : &r->job.pod.probes,
					     .taken = on_taken,
					     .held = pg_run_say_held,
					     .freed = pg_run_say_freed,
					     .wire = v->wire,
					     .proxy = (enum pg_proxy_version)v->proxy,
					     .scope = &r->scope,
					     .opened = on_connection,
					     .ctx = r };
	r->redirects = pg_redirect_set_new(r->app->loop, &r->app->out.log, &r->manner);
	if (!r->redirects)
		return pg_fail(err, -ENOMEM, "start a redirect");
	int rc = want_named(r, &r->wants, err);
	return rc < 0 ? rc : want_outgoing(r, err);
}

/* Another pod may mean other ports by the same names: those come first in r->wants. */
static int plan_again(struct pg_run *r, struct pg_err *err)
{
	pg_auto_free struct pg_wants *now = pg_calloc(1, sizeof(*now));
	int rc = now ? want_named(r, now, err) : pg_fail(err, -ENOMEM, "redirect another pod");
	for (size_t i = 0; rc == 0 && i < now->count && i < r->wants.count; i++) {
		r->wants.items[i] = now->items[i];
		pg_redirect_set_replan(r->redirects, i, &now->items[i]);
	}
	return rc;
}

void pg_run_leave_note(struct pg_run *r)
{
	if (!r->values->event || r->is_note_refused || strcmp(r->noted, r->job.pod.uid) == 0)
		return;
	r->is_note_refused = !pg_redirect_note(&r->job, &r->wants, r->owner, false);
	if (!r->is_note_refused)
		memcpy(r->noted, r->job.pod.uid, sizeof(r->noted));
}

/* A port that a podgraft of our own has just left is tried again after short pauses: one wait. */
static int arm(struct pg_run *r, struct pg_err *err)
{
	r->app->waits_for = r->values->take_over ? "whoever has the port to give it up"
						 : "the agent to get the port";
	pg_loop_one_wait(r->app->loop, true);
	int rc = pg_redirect_set_arm(r->redirects, r->tunnel, r->mechanism, err);
	pg_loop_one_wait(r->app->loop, false);
	r->app->waits_for = NULL;
	return rc;
}

int pg_run_link_up(struct pg_run *r, struct pg_err *err)
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
	for (size_t i = pg_redirect_set_counts(r->redirects).redirects;
	     rc == 0 && i < r->wants.count; i++)
		rc = pg_redirect_set_add(r->redirects, &r->wants.items[i], err);
	return rc == 0 ? arm(r, err) : rc;
}

/* A signal or the end of "-- CMD" ends the wait. */
static void wait_before_next(struct pg_run *r)
{
	uint8_t dice;
	pg_random(&dice, 1);
	uint64_t wait_ms = pg_back_off_next(&r->back_off, dice);
	if (wait_ms == 0)
		return;
	pg_output_status(&r->app->out, "link lost: %s; trying again", r->lost.what);
	pg_loop_wait(r->app->loop, &r->leaving, pg_loop_now_ms(r->app->loop) + wait_ms);
}

struct pg_tunnel_traffic pg_run_traffic(const struct pg_run *r)
{
	struct pg_tunnel_traffic sum = { .in = 0 };
	if (r->tunnel)
		sum = pg_tunnel_traffic(r->tunnel);
	sum.in += r->before.in;
	sum.out += r->before.out;
	return sum;
}

static int try_again(struct pg_run *r, struct pg_err *err)
{
	r->before = pg_run_traffic(r);
	pg_tunnel_close(pg_take_ptr(&r->tunnel));
	r->is_lost = false;
	pg_redirect_set_disarmed(r->redirects);
	char was[sizeof(r->job.pod.uid)];
	memcpy(was, r->job.pod.uid, sizeof(was));
	int rc = pg_pod_job_again(&r->job, err);
	r->is_gone = rc == -ENOENT && err->whose == PG_TARGET;
	if (rc == 0 && strcmp(was, r->job.pod.uid) != 0)
		rc = plan_again(r, err);
	return rc < 0 ? rc : pg_run_link_up(r, err);
}

/* Something answers in the place of our agent and is not it, or ours has no room: worth a word,
 * once, even if a new agent takes over, or there is some, in a moment. */
static void warn_of_refusal(struct pg_run *r, const struct pg_err *err, int *told)
{
	bool is_passing = err->code == -EAGAIN;
	if (err->whose != PG_TARGET || (err->code != -EACCES && !is_passing) || *told == err->code)
		return;
	*told = err->code;
	pg_output_warn(&r->app->out, "pod '%s': %s; %s%s", r->job.pod.name, err->what, err->hint,
		       is_passing ? "; trying again" : "");
}

int pg_run_come_back(struct pg_run *r, struct pg_err *err)
{
	uint64_t since = pg_loop_now_ms(r->app->loop);
	int told = 0; /* the code of the last refusal */
	int rc;
	r->is_returning = true;
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
		warn_of_refusal(r, err, &told);
		if (r->is_gone || pg_back_off_is_final(err, pg_loop_now_ms(r->app->loop) - since))
			return r->leaving ? 0 : rc;
	}
	pg_back_off_up(&r->back_off, pg_loop_now_ms(r->app->loop),
		       !pg_tunnel_graft(r->tunnel)->reused);
	r->is_returning = false;
	r->returns++;
	pg_run_say_up(r, "resumed");
	pg_run_leave_note(r);
	return 0;
}
