#include "agent/redirects.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"

enum {
	REDIRECTS_MAX = 256,
	ACCEPTS_A_TURN = 64, /* then the others have their turn */
	PAUSE_MS = 100,      /* without descriptors: the loop stays idle meanwhile */
};

/* The listeners behind one rule set, and the set itself: both end together, once the loop has let
 * go of the listeners. */
struct intake {
	struct pg_redirects *all;
	struct pg_rules *rules;
	uv_poll_t polls[PG_LISTENERS];
	int fds[PG_LISTENERS];
	uv_poll_t watch; /* other agents that want our ports */
	bool watching;
	int open_handles;
	bool closing;
};

struct pg_redirects {
	struct pg_loop *loop;
	const struct pg_log *log;
	const char *tag;
	struct pg_redirect orphans; /* for what a rule took just before it went */
	struct pg_redirect table[REDIRECTS_MAX];
	size_t count;
	struct intake *intake; /* NULL while there is no redirect */
	uv_timer_t renew, pause;
	int open_handles;
};

static void listen_again(struct intake *in);

struct pg_redirects *pg_redirects_new(struct pg_loop *loop, const struct pg_log *log,
				      const char *tag, const struct pg_redirect_owner *orphans,
				      void *ctx)
{
	struct pg_redirects *all = pg_calloc(1, sizeof(*all));
	if (!all)
		return NULL;
	all->loop = loop;
	all->log = log;
	all->tag = tag;
	all->orphans = (struct pg_redirect){ .owner = orphans, .ctx = ctx };
	uv_timer_init(pg_loop_uv(loop), &all->renew);
	uv_timer_init(pg_loop_uv(loop), &all->pause);
	all->renew.data = all->pause.data = all;
	all->open_handles = 2;
	return all;
}

static struct pg_redirect *find_port(struct pg_redirects *all, enum pg_direction direction,
				     uint16_t port)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->table[i].direction == direction && all->table[i].port == port)
			return &all->table[i];
	return &all->orphans;
}

/* One accepted socket: to its redirect's owner, or reset when it came here by no rule. */
static void deliver(struct intake *in, int fd, const struct sockaddr_storage *peer)
{
	struct sockaddr_storage local = { 0 };
	uint8_t bytes[16];
	uint16_t port = 0;
	enum pg_direction direction;
	const struct pg_redirect *rd = NULL;
	if (pg_sock_prepare(fd) == 0 && pg_rules_original(in->rules, fd, &local, &direction) == 0 &&
	    pg_addr_bytes(&local, bytes, &port) > 0)
		rd = find_port(in->all, direction, port);
	if (!rd) {
		pg_sock_close_reset(fd);
		return;
	}
	rd->owner->arrived(rd->ctx, rd, fd, peer, &local);
}

static void on_pause_over(uv_timer_t *timer)
{
	struct pg_redirects *all = timer->data;
	if (all->intake)
		listen_again(all->intake);
}

/* No descriptor or memory for one more: the queue waits in the kernel, the loop goes on. */
static void pause_listeners(struct intake *in, int code)
{
	pg_log(in->all->log, PG_WARN, "cannot accept: %s; trying again", strerror(-code));
	for (int i = 0; i < PG_LISTENERS; i++)
		if (in->fds[i] >= 0)
			uv_poll_stop(&in->polls[i]);
	uv_timer_start(&in->all->pause, on_pause_over, PAUSE_MS, 0);
}

static void accept_some(struct intake *in, int listener, int most)
{
	for (int i = 0; i < most && !in->closing; i++) {
		struct sockaddr_storage peer = { 0 };
		socklen_t len = sizeof(peer);
		int fd = accept4(listener, (struct sockaddr *)&peer, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			deliver(in, fd, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			pause_listeners(in, -errno);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
	struct intake *in = poll->data;
	(void)status;
	(void)events;
	accept_some(in, in->fds[poll - in->polls], ACCEPTS_A_TURN);
}

static void listen_again(struct intake *in)
{
	for (int i = 0; i < PG_LISTENERS; i++)
		if (in->fds[i] >= 0)
			uv_poll_start(&in->polls[i], UV_READABLE, on_listener);
}

/* Takes what is waiting in the listeners' queues. */
static void empty_queues(struct intake *in)
{
	for (int i = 0; i < PG_LISTENERS; i++)
		if (in->fds[i] >= 0)
			accept_some(in, in->fds[i], SOMAXCONN);
}

/* Another has the port now: what the rule took before goes to the laptop, then the redirect ends.
 */
static void on_taken(void *ctx, enum pg_direction direction, uint16_t port,
		     const struct pg_claim *by)
{
	struct pg_redirects *all = ctx;
	struct pg_redirect *rd = find_port(all, direction, port);
	if (rd == &all->orphans)
		return;
	pg_log(all->log, PG_INFO, "redirect of %sport %u: taken over by %s",
	       pg_direction_word(direction), port, by->holder);
	empty_queues(all->intake);
	rd->owner->taken(rd->ctx, rd, by);
	*rd = all->table[--all->count];
}

static void on_watch(uv_poll_t *poll, int status, int events)
{
	struct intake *in = poll->data;
	(void)status;
	(void)events;
	pg_rules_give_up(in->rules, on_taken, in->all);
}

static void on_renew(uv_timer_t *timer)
{
	struct pg_redirects *all = timer->data;
	struct pg_err err = { 0 };
	if (all->count == 0 || pg_rules_renew(all->intake->rules, &err) == 0)
		return;
	pg_log(all->log, PG_ERROR, "cannot renew the lease of the rules: %s", err.what);
	for (size_t i = all->count; i-- > 0;) {
		const struct pg_redirect *rd = &all->table[i];
		struct pg_claim by;
		if (!pg_rules_has(all->intake->rules, rd->direction, rd->port, &by))
			on_taken(all, rd->direction, rd->port, &by);
	}
}

static void on_intake_closed(uv_handle_t *handle)
{
	struct intake *in = handle->data;
	if (--in->open_handles > 0)
		return;
	pg_rules_close(in->rules);
	free(in);
}

/* Ends the intake after the loop's turn; the rules go at once. */
static void close_intake(struct pg_redirects *all)
{
	struct intake *in = pg_take_ptr(&all->intake);
	uv_timer_stop(&all->renew);
	uv_timer_stop(&all->pause);
	in->closing = true;
	in->open_handles++;
	if (in->watching)
		uv_close((uv_handle_t *)&in->watch, on_intake_closed);
	for (int i = 0; i < PG_LISTENERS; i++)
		if (in->fds[i] >= 0)
			uv_close((uv_handle_t *)&in->polls[i], on_intake_closed);
	if (--in->open_handles == 0) {
		pg_rules_close(in->rules);
		free(in);
	}
}

static int watch_others(struct intake *in, struct pg_err *err)
{
	int rc = uv_poll_init(pg_loop_uv(in->all->loop), &in->watch, pg_rules_watch(in->rules));
	if (rc < 0)
		return pg_fail(err, rc, "watch the rules");
	in->watch.data = in;
	in->watching = true;
	in->open_handles++;
	uv_poll_start(&in->watch, UV_READABLE, on_watch);
	return 0;
}

/* Those of the rule set that are not watched yet. */
static int watch_listeners(struct intake *in, struct pg_err *err)
{
	int fds[PG_LISTENERS];
	pg_rules_listeners(in->rules, fds);
	for (int i = 0; i < PG_LISTENERS; i++) {
		if (fds[i] < 0 || in->fds[i] >= 0)
			continue;
		int rc = uv_poll_init(pg_loop_uv(in->all->loop), &in->polls[i], fds[i]);
		if (rc < 0)
			return pg_fail(err, rc, "watch a listener");
		in->fds[i] = fds[i];
		in->polls[i].data = in;
		in->open_handles++;
	}
	listen_again(in);
	return 0;
}

static int open_intake(struct pg_redirects *all, struct pg_err *err)
{
	struct pg_rules_config config = { .owner_tag = all->tag };
	struct intake *in = pg_calloc(1, sizeof(*in));
	if (!in)
		return pg_fail(err, -ENOMEM, "listen for redirected connections");
	*in = (struct intake){ .all = all, .fds = { -1, -1, -1, -1 } };
	int rc = pg_rules_open(&config, &in->rules, err);
	if (rc < 0) {
		free(in);
		return rc;
	}
	all->intake = in;
	rc = watch_others(in, err);
	if (rc == 0)
		rc = watch_listeners(in, err);
	if (rc < 0) {
		close_intake(all);
		return rc;
	}
	uv_timer_start(&all->renew, on_renew, PG_LEASE_RENEW_MS, PG_LEASE_RENEW_MS);
	return 0;
}

/* Gives the port of `rd` to the app for a while, or takes it again. */
static int set_parked(struct pg_redirects *all, struct pg_redirect *rd, bool parked,
		      struct pg_err *err)
{
	if (rd->parked == parked)
		return 0;
	int rc = pg_rules_park(all->intake->rules, rd->direction, rd->port, parked, err);
	if (rc == 0) {
		rd->parked = parked;
		pg_log(all->log, PG_INFO, "redirect of %sport %u: %s",
		       pg_direction_word(rd->direction), rd->port,
		       parked ? "parked, the laptop does not answer" : "on again");
	}
	return rc;
}

void pg_redirects_park(struct pg_redirects *all, enum pg_direction direction, uint16_t port)
{
	struct pg_redirect *rd = find_port(all, direction, port);
	struct pg_err err = { 0 };
	if (rd == &all->orphans || rd->parked || rd->no_fallback)
		return;
	if (set_parked(all, rd, true, &err) < 0)
		pg_log(all->log, PG_ERROR, "cannot park %sport %u: %s",
		       pg_direction_word(direction), port, err.what);
	else
		rd->owner->parked(rd->ctx, rd);
}

static void remove_at(struct pg_redirects *all, size_t i)
{
	struct pg_err err = { 0 };
	enum pg_direction direction = all->table[i].direction;
	uint16_t port = all->table[i].port;
	int rc = pg_rules_remove(all->intake->rules, direction, port, &err);
	pg_log(all->log, rc < 0 ? PG_ERROR : PG_INFO, "redirect of %sport %u: %s",
	       pg_direction_word(direction), port, rc < 0 ? err.what : "stopped");
	empty_queues(all->intake);
	all->table[i] = all->table[--all->count];
}

/* The same user's other podgraft has the port: it is told, as one of another agent would be. */
static void take_from_session(struct pg_redirects *all, struct pg_redirect *rd, const char *holder)
{
	struct pg_claim by = { .since = (uint64_t)time(NULL) };
	struct pg_err err = { 0 };
	snprintf(by.holder, sizeof(by.holder), "%s", holder);
	if (pg_rules_remove(all->intake->rules, rd->direction, rd->port, &err) < 0)
		pg_log(all->log, PG_ERROR, "%s", err.what);
	on_taken(all, rd->direction, rd->port, &by);
}

int pg_redirects_start(struct pg_redirects *all, uint32_t id, const struct pg_rule *rule,
		       bool no_fallback, const struct pg_redirect_owner *owner, void *ctx,
		       struct pg_claim *claim_out, struct pg_err *err)
{
	struct pg_redirect *there = find_port(all, rule->direction, rule->port);
	if (there->id == id && there->ctx == ctx && there->port == rule->port)
		return set_parked(all, there, false, err);
	if (there != &all->orphans && there->owner->yield(there->ctx))
		remove_at(all, (size_t)(there - all->table));
	else if (there != &all->orphans && rule->take_over && there->ctx != ctx)
		take_from_session(all, there, rule->holder);
	if (all->count == REDIRECTS_MAX)
		return pg_fail(err, -ENOSPC, "this agent has %d redirects already.", REDIRECTS_MAX);
	int rc = all->intake ? 0 : open_intake(all, err);
	if (rc < 0)
		return rc;
	rc = pg_rules_add(all->intake->rules, rule, claim_out, err);
	if (rc < 0)
		return rc;
	all->table[all->count++] = (struct pg_redirect){ .id = id,
							 .direction = rule->direction,
							 .port = rule->port,
							 .no_fallback = no_fallback,
							 .owner = owner,
							 .ctx = ctx };
	pg_log(all->log, PG_INFO, "redirect of %sport %u by %s: started (%s)",
	       pg_direction_word(rule->direction), rule->port, rule->holder,
	       pg_rules_mechanism(all->intake->rules, rule->direction));
	rc = watch_listeners(all->intake, err);
	if (rc < 0) /* nobody would take its connections */
		remove_at(all, all->count - 1);
	return rc;
}

void pg_redirects_take_no_more(struct pg_redirects *all, enum pg_direction direction, uint16_t port)
{
	if (all->intake)
		pg_rules_take_no_more(all->intake->rules, direction, port);
}

int pg_redirects_stop(struct pg_redirects *all, uint32_t id, void *ctx, struct pg_err *err)
{
	for (size_t i = 0; i < all->count; i++) {
		if (all->table[i].id == id && all->table[i].ctx == ctx) {
			remove_at(all, i);
			return 0;
		}
	}
	return pg_fail(err, -ENOENT, "no redirect %u in this session.", id);
}

void pg_redirects_stop_all(struct pg_redirects *all, const void *ctx)
{
	for (size_t i = all->count; i-- > 0;)
		if (!ctx || all->table[i].ctx == ctx)
			remove_at(all, i);
}

size_t pg_redirects_count(const struct pg_redirects *all)
{
	return all->count;
}

const char *pg_redirects_mechanism(const struct pg_redirects *all, enum pg_direction direction)
{
	return all->intake ? pg_rules_mechanism(all->intake->rules, direction) : "";
}

void pg_redirects_rest(struct pg_redirects *all)
{
	if (all->intake && all->count == 0)
		close_intake(all);
}

static void on_closed(uv_handle_t *handle)
{
	struct pg_redirects *all = handle->data;
	if (--all->open_handles == 0)
		free(all);
}

void pg_redirects_close(struct pg_redirects *all)
{
	pg_redirects_stop_all(all, NULL);
	pg_redirects_rest(all);
	uv_close((uv_handle_t *)&all->renew, on_closed);
	uv_close((uv_handle_t *)&all->pause, on_closed);
}
