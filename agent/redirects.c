#include "agent/redirects.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <uv.h>

#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"

enum {
	REDIRECTS_MAX = 256,
	FAMILIES = 2,
	ACCEPTS_A_TURN = 64, /* then the others have their turn */
	PAUSE_MS = 100,      /* without descriptors: the loop stays idle meanwhile */
};

struct pg_redirects {
	struct pg_loop *loop;
	const struct pg_log *log;
	const char *tag;
	struct pg_rules *rules; /* NULL before the first redirect */
	struct pg_redirect table[REDIRECTS_MAX];
	size_t count;
	uv_poll_t listeners[FAMILIES];
	int listener_fds[FAMILIES];
	uv_timer_t renew, pause;
	int open_handles;
	bool closing;
};

static void listen_again(struct pg_redirects *all);

struct pg_redirects *pg_redirects_new(struct pg_loop *loop, const struct pg_log *log,
				      const char *tag)
{
	struct pg_redirects *all = pg_calloc(1, sizeof(*all));
	if (!all)
		return NULL;
	all->loop = loop;
	all->log = log;
	all->tag = tag;
	all->listener_fds[0] = all->listener_fds[1] = -1;
	uv_timer_init(pg_loop_uv(loop), &all->renew);
	uv_timer_init(pg_loop_uv(loop), &all->pause);
	all->renew.data = all->pause.data = all;
	all->open_handles = 2;
	return all;
}

static const struct pg_redirect *find_port(const struct pg_redirects *all, uint16_t port)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->table[i].port == port)
			return &all->table[i];
	return NULL;
}

/* One accepted socket: to its redirect's owner, or reset when it came here by no rule. */
static void deliver(struct pg_redirects *all, int fd, const struct sockaddr_storage *peer)
{
	struct sockaddr_storage local = { 0 };
	uint8_t bytes[16];
	uint16_t port = 0;
	const struct pg_redirect *rd = NULL;
	if (pg_sock_prepare(fd) == 0 && pg_rules_original(all->rules, fd, &local) == 0 &&
	    pg_addr_bytes(&local, bytes, &port) > 0)
		rd = find_port(all, port);
	if (!rd) {
		pg_sock_close_reset(fd);
		return;
	}
	rd->owner->arrived(rd->ctx, rd, fd, peer, &local);
}

static void on_pause_over(uv_timer_t *timer)
{
	listen_again(timer->data);
}

/* No descriptor or memory for one more: the queue waits in the kernel, the loop goes on. */
static void pause_listeners(struct pg_redirects *all, int code)
{
	pg_log(all->log, PG_WARN, "cannot accept: %s; trying again", uv_strerror(code));
	for (int i = 0; i < FAMILIES; i++)
		if (all->listener_fds[i] >= 0)
			uv_poll_stop(&all->listeners[i]);
	uv_timer_start(&all->pause, on_pause_over, PAUSE_MS, 0);
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
	struct pg_redirects *all = poll->data;
	int listener = all->listener_fds[poll == &all->listeners[1]];
	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN && !all->closing; i++) {
		struct sockaddr_storage peer = { 0 };
		socklen_t len = sizeof(peer);
		int fd = accept4(listener, (struct sockaddr *)&peer, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			deliver(all, fd, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			pause_listeners(all, -errno);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

static void listen_again(struct pg_redirects *all)
{
	for (int i = 0; i < FAMILIES; i++)
		if (all->listener_fds[i] >= 0)
			uv_poll_start(&all->listeners[i], UV_READABLE, on_listener);
}

static void on_renew(uv_timer_t *timer)
{
	struct pg_redirects *all = timer->data;
	struct pg_err err = { 0 };
	if (all->count > 0 && pg_rules_renew(all->rules, &err) < 0)
		pg_log(all->log, PG_ERROR, "cannot renew the lease of the rules: %s", err.what);
}

static int open_rules(struct pg_redirects *all, struct pg_err *err)
{
	struct pg_rules_config config = { .owner_tag = all->tag };
	int rc = pg_rules_open(&config, &all->rules, err);
	if (rc < 0)
		return rc;
	pg_rules_listeners(all->rules, all->listener_fds);
	for (int i = 0; i < FAMILIES; i++) {
		if (all->listener_fds[i] < 0)
			continue;
		rc = uv_poll_init(pg_loop_uv(all->loop), &all->listeners[i], all->listener_fds[i]);
		if (rc < 0) {
			all->listener_fds[i] = -1;
			return pg_fail(err, rc, "watch a listener");
		}
		all->listeners[i].data = all;
		all->open_handles++;
	}
	listen_again(all);
	uv_timer_start(&all->renew, on_renew, PG_LEASE_RENEW_MS, PG_LEASE_RENEW_MS);
	return 0;
}

int pg_redirects_start(struct pg_redirects *all, uint32_t id, const struct pg_rule *rule,
		       const struct pg_redirect_owner *owner, void *ctx, struct pg_claim *claim_out,
		       struct pg_err *err)
{
	if (all->count == REDIRECTS_MAX)
		return pg_fail(err, -ENOSPC, "this agent has %d redirects already.", REDIRECTS_MAX);
	int rc = all->rules ? 0 : open_rules(all, err);
	if (rc == 0)
		rc = pg_rules_add(all->rules, rule, claim_out, err);
	if (rc < 0)
		return rc;
	all->table[all->count++] =
		(struct pg_redirect){ .id = id, .port = rule->port, .owner = owner, .ctx = ctx };
	pg_log(all->log, PG_INFO, "redirect of port %u by %s: started (%s)", rule->port,
	       rule->holder, pg_rules_mechanism(all->rules));
	return 0;
}

static void remove_at(struct pg_redirects *all, size_t i)
{
	struct pg_err err = { 0 };
	uint16_t port = all->table[i].port;
	if (pg_rules_remove(all->rules, port, &err) < 0)
		pg_log(all->log, PG_ERROR, "redirect of port %u: %s", port, err.what);
	else
		pg_log(all->log, PG_INFO, "redirect of port %u: stopped", port);
	all->table[i] = all->table[--all->count];
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

const char *pg_redirects_mechanism(const struct pg_redirects *all)
{
	return all->rules ? pg_rules_mechanism(all->rules) : "";
}

static void on_closed(uv_handle_t *handle)
{
	struct pg_redirects *all = handle->data;
	if (--all->open_handles > 0)
		return;
	pg_rules_close(all->rules);
	free(all);
}

void pg_redirects_close(struct pg_redirects *all)
{
	pg_redirects_stop_all(all, NULL);
	all->closing = true;
	for (int i = 0; i < FAMILIES; i++)
		if (all->listener_fds[i] >= 0)
			uv_close((uv_handle_t *)&all->listeners[i], on_closed);
	uv_close((uv_handle_t *)&all->renew, on_closed);
	uv_close((uv_handle_t *)&all->pause, on_closed);
}
