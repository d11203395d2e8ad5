#include "injector/fleet.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_json.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"

enum { HOPELESS_MS = 10000, WARN_MS = 10000, QUEUE_STEP = 64 };

static void add_up(struct pg_post_sums *sum, const struct pg_post_sums *one)
{
	sum->open += one->open;
	sum->total += one->total;
	sum->bytes_in += one->bytes_in;
	sum->bytes_out += one->bytes_out;
	sum->laptop += one->laptop;
	sum->app += one->app;
	sum->probes += one->probes;
	sum->refused += one->refused;
}

/* ---- pods that come and go ---------------------------------------------------------------- */

static void drop_post(struct pg_fleet *f, struct pg_post *p)
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

/* Its labels were changed, and changed back. */
static void begin_again(struct pg_post *p)
{
	p->is_gone = p->is_back = false;
	if (pg_post_start(p) < 0)
		pg_post_failed(p);
}

static void on_ended(void *ctx, struct pg_post *p)
{
	struct pg_fleet *f = ctx;
	f->stirred = true;
	if (f->leaving)
		return;
	if (p->is_back)
		begin_again(p);
	else if (p->is_gone)
		drop_post(f, p);
	else
		pg_post_failed(p);
}

void pg_fleet_init(struct pg_fleet *f, struct pg_app *app)
{
	*f = (struct pg_fleet){ .app = app };
	f->config = (struct pg_post_config){ app, &f->news, on_ended, f };
}

struct pg_post *pg_fleet_find(struct pg_fleet *f, const char *uid)
{
	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->posts[i]->uid, uid) == 0)
			return f->posts[i];
	return NULL;
}

static size_t place_in_queue(const struct pg_fleet *f, const char *uid)
{
	size_t i = 0;
	while (i < f->queued && strcmp(f->queue[i].uid, uid) != 0)
		i++;
	return i;
}

/* `n` of them, from place `at` on. */
static void leave_queue(struct pg_fleet *f, size_t at, size_t n)
{
	if (n == 0)
		return;
	f->queued -= n;
	memmove(f->queue + at, f->queue + at + n, (f->queued - at) * sizeof(f->queue[0]));
}

static int join_queue(struct pg_fleet *f, const struct pg_pod_change *change, struct pg_err *err)
{
	if (f->queued == f->queue_room) {
		size_t room = f->queue_room + QUEUE_STEP;
		struct pg_pod_change *more = pg_realloc(f->queue, room, sizeof(*more));
		if (!more)
			return pg_fail(err, -ENOMEM, "redirect pod '%s'", change->name);
		f->queue = more;
		f->queue_room = room;
	}
	f->queue[f->queued++] = *change;
	return 0;
}

static int add_pod(struct pg_fleet *f, const struct pg_pod_change *change, struct pg_err *err)
{
	struct pg_post *p = pg_post_new(&f->config, change);
	if (!p)
		return pg_fail(err, -ENOMEM, "redirect pod '%s'", change->name);
	f->posts[f->count++] = p;
	if (pg_post_start(p) < 0)
		pg_post_failed(p);
	return 0;
}

/* When it begins, and when they become more. */
static void say_left_alone(struct pg_fleet *f)
{
	size_t left = f->left_alone;
	bool is_more = left > f->told_left;
	if (is_more && pg_quota_pass(&f->warnings, 1, WARN_MS, pg_loop_now_ms(f->app->loop)) == 0)
		return; /* a little later, with those that come meanwhile */
	f->told_left = left;
	if (!is_more)
		return;
	pg_output_warn(&f->app->out,
		       "there are %zu pods, and one podgraft redirects %d at a time: %zu %s left "
		       "alone until others go; -l chooses fewer",
		       f->count + f->queued, PG_FLEET_MAX, left, left == 1 ? "is" : "are");
}

int pg_fleet_fill(struct pg_fleet *f, struct pg_err *err)
{
	size_t n = pg_min(f->queued, PG_FLEET_MAX - f->count);
	int rc = 0;
	if (f->leaving)
		return 0;
	f->left_alone = f->queued - n;
	say_left_alone(f);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = add_pod(f, &f->queue[i], err);
	leave_queue(f, 0, n);
	return rc;
}

static void let_go(struct pg_fleet *f, struct pg_post *p)
{
	if (p->is_gone) /* and has been told: the second signal would cut its connections */
		return;
	p->is_gone = true;
	if (p->member)
		pg_post_signal(p, SIGTERM);
	else
		drop_post(f, p);
}

int pg_fleet_take(struct pg_fleet *f, const struct pg_pod_change *change, struct pg_err *err)
{
	struct pg_post *p = pg_fleet_find(f, change->uid);
	size_t place = place_in_queue(f, change->uid);
	bool is_wanted = !change->is_gone && change->is_usable;
	if (f->leaving)
		return 0;
	if (p && p->is_gone)
		p->is_back = is_wanted;
	if (p && change->is_gone)
		let_go(f, p);
	if (place < f->queued && !is_wanted)
		leave_queue(f, place, 1);
	return p || place < f->queued || !is_wanted ? 0 : join_queue(f, change, err);
}

/* ---- the whole ---------------------------------------------------------------------------- */

size_t pg_fleet_up(const struct pg_fleet *f)
{
	size_t n = 0;
	for (size_t i = 0; i < f->count; i++)
		n += f->posts[i]->is_up;
	return n;
}

size_t pg_fleet_settled(const struct pg_fleet *f)
{
	size_t n = 0;
	for (size_t i = 0; i < f->count; i++)
		n += f->posts[i]->is_up || f->posts[i]->failures > 0;
	return n;
}

size_t pg_fleet_members(const struct pg_fleet *f)
{
	size_t n = 0;
	for (size_t i = 0; i < f->count; i++)
		n += f->posts[i]->member != NULL;
	return n;
}

static void say_pods(struct pg_fleet *f, size_t up)
{
	size_t pods = f->count + f->left_alone;
	if (up == f->told_up && pods == f->told_pods)
		return;
	f->told_up = up;
	f->told_pods = pods;
	pg_output_event(&f->app->out, "pods", "{s:I, s:I, s:I}", "up", (json_int_t)up, "pods",
			(json_int_t)pods, "left_alone", (json_int_t)f->left_alone);
}

void pg_fleet_show(struct pg_fleet *f, const char *what)
{
	struct pg_output *out = &f->app->out;
	struct pg_post_sums sum = f->gone;
	size_t up = pg_fleet_up(f);
	for (size_t i = 0; i < f->count; i++)
		add_up(&sum, &f->posts[i]->sums);
	pg_output_status(out,
			 "%s %zu of %zu pods: %lld open, %lld in all, %lld by the app, "
			 "%lld probes, %.1f MB in, %.1f MB out",
			 what, up, f->count + f->left_alone, (long long)sum.open,
			 (long long)sum.total, (long long)sum.app, (long long)sum.probes,
			 (double)sum.bytes_in / 1e6, (double)sum.bytes_out / 1e6);
	f->was_up = f->was_up || up > 0;
	say_pods(f, up);
}

/* Words that came from several pods, and were told once. */
static void tell_news(struct pg_fleet *f, uint64_t now)
{
	char *text;
	unsigned more;
	while ((text = pg_news_due(&f->news, now, &more))) {
		if (more > 0 && f->app->out.format == PG_FORMAT_TEXT)
			pg_output_warn(&f->app->out, "%u time%s more: %s", more,
				       more == 1 ? "" : "s", text);
		free(text);
	}
}

/* Why no pod is redirected: the words of one of them. */
static int nothing_works(struct pg_fleet *f, struct pg_err *err)
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

/* Every pod has failed: at the start that is the end, later only if none is tried again. A pod that
 * goes may fail before we are told that it went. */
static bool is_hopeless(struct pg_fleet *f, uint64_t now)
{
	size_t failed = 0, given_up = 0;
	for (size_t i = 0; i < f->count; i++) {
		failed += !f->posts[i]->member;
		given_up += !f->posts[i]->member && f->posts[i]->is_given_up;
	}
	if (f->count == 0 || (f->was_up ? given_up : failed) < f->count) {
		f->idle_ms = 0;
		return false;
	}
	if (f->idle_ms == 0)
		f->idle_ms = now;
	return !f->was_up || now - f->idle_ms >= HOPELESS_MS;
}

int pg_fleet_tick(struct pg_fleet *f, struct pg_err *err)
{
	uint64_t now = pg_loop_now_ms(f->app->loop);
	tell_news(f, now);
	pg_fleet_show(f, "redirecting");
	if (is_hopeless(f, now))
		return nothing_works(f, err);
	for (size_t i = 0; i < f->count; i++) {
		struct pg_post *p = f->posts[i];
		if (p->member || p->is_given_up || !f->was_up || now < p->again_ms)
			continue;
		if (pg_post_start(p) < 0)
			pg_post_failed(p);
	}
	return 0;
}

void pg_fleet_leave(struct pg_fleet *f, int signo)
{
	f->leaving = f->stirred = true;
	for (size_t i = 0; i < f->count; i++)
		pg_post_signal(f->posts[i], signo);
}

void pg_fleet_say_ended(struct pg_fleet *f)
{
	const struct pg_post_sums *n = &f->gone;
	pg_output_event(&f->app->out, "ended", "{s:I, s:I, s:I, s:I, s:I}", "connections", n->total,
			"refused", n->refused, "laptop", n->laptop, "app", n->app, "probes",
			n->probes);
}

void pg_fleet_fini(struct pg_fleet *f)
{
	while (f->count > 0)
		drop_post(f, f->posts[0]);
	pg_news_fini(&f->news);
	free(f->queue);
	f->queue = NULL;
	f->queued = f->queue_room = 0;
}
