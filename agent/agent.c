#include "agent/agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "agent/connections.h"
#include "agent/redirects.h"
#include "agent/routes.h"
#include "agent/session.h"
#include "proto/base/mem.h"
#include "proto/mux/limits.h"

enum {
	SESSIONS_MAX = 16,
	DRAIN_MS = 5000,
	DRAIN_LOOK_MS = 20,
	/* After the last rule went a client may still be in its handshake with our listener. */
	HANDSHAKE_MS = 300,
	/* What the agent needs for itself: program, control API, its first lane. */
	BASE_BYTES = 8 << 20,
};

struct pg_agent {
	struct pg_loop *loop;
	const struct pg_log *log;
	struct pg_agent_config config;
	struct pg_identity identity;
	struct pg_routes *routes; /* NULL once it ends */
	struct pg_pressure *pressure;
	struct pg_redirects *redirects;
	struct pg_connections *connections;
	struct pg_pool pool; /* what the streams of all sessions may borrow */
	struct pg_session *sessions[SESSIONS_MAX + 1]; /* and that of an undo */
	size_t session_count;
	uv_timer_t idle, drain, rest;
	uint64_t drain_end_ms;
	bool done; /* leave the loop */
};

/* What the memory ceiling leaves to connections. */
static uint64_t room_bytes(const struct pg_agent_config *config)
{
	const uint64_t fixed = BASE_BYTES + PG_POOL_AGENT;
	return config->memory_bytes > fixed ? config->memory_bytes - fixed : 0;
}

static size_t count_open(const struct pg_agent *a)
{
	return pg_connections_open(a->connections) + pg_redirects_looking(a->redirects);
}

static void look_at_drain(uv_timer_t *timer)
{
	struct pg_agent *a = timer->data;
	uint64_t now = pg_loop_now_ms(a->loop);
	bool quiet = count_open(a) == 0 && now + DRAIN_MS >= a->drain_end_ms + HANDSHAKE_MS;
	if (quiet || now >= a->drain_end_ms)
		a->done = true;
}

/* Gives every port back at once, and lets what is open end. Who comes now finds nobody, and takes
 * another agent. */
static void stop(struct pg_agent *a, const char *why)
{
	if (a->drain_end_ms != 0)
		return;
	pg_log(a->log, PG_INFO, "%s: ending, %zu connections open", why, count_open(a));
	pg_routes_close(pg_take_ptr(&a->routes));
	pg_redirects_end(a->redirects);
	a->drain_end_ms = pg_loop_now_ms(a->loop) + DRAIN_MS;
	uv_timer_start(&a->drain, look_at_drain, 0, DRAIN_LOOK_MS);
}

static void on_signal(void *ctx, int signo)
{
	stop(ctx, strsignal(signo));
}

/* Connections that the app serves through us would end with us: they are waited for. */
static void on_idle(uv_timer_t *timer)
{
	struct pg_agent *a = timer->data;
	if (count_open(a) > 0)
		uv_timer_start(timer, on_idle, a->config.idle_ms, 0);
	else
		stop(a, "no session for the time of --idle");
}

static bool is_quiet(const struct pg_agent *a)
{
	return pg_redirects_count(a->redirects) == 0 && count_open(a) == 0;
}

/* Neither redirects nor connections are left: nothing of the kernel's needs to be ours. */
static void on_rest(uv_timer_t *timer)
{
	struct pg_agent *a = timer->data;
	if (is_quiet(a))
		pg_redirects_rest(a->redirects);
}

static void maybe_rest(void *ctx)
{
	struct pg_agent *a = ctx;
	if (is_quiet(a))
		uv_timer_start(&a->rest, on_rest, HANDSHAKE_MS, 0);
}

static void on_unserved(void *ctx, uint32_t arming)
{
	struct pg_agent *a = ctx;
	pg_redirects_park(a->redirects, arming);
}

static void on_shortage(void *ctx, int code)
{
	struct pg_agent *a = ctx;
	pg_redirects_shortage(a->redirects, code);
}

static void on_served(void *ctx, uint32_t serial, enum pg_served how)
{
	struct pg_agent *a = ctx;
	pg_redirects_served(a->redirects, serial, how);
}

/* A connection whose redirect has just gone: the app's. */
static void on_orphan(void *ctx, const struct pg_redirect *rd, const struct pg_arrival *arrival)
{
	struct pg_agent *a = ctx;
	pg_connections_serve(a->connections, NULL, rd, arrival);
}

static void restart_idle(struct pg_agent *a)
{
	if (a->session_count == 0)
		uv_timer_start(&a->idle, on_idle, a->config.idle_ms, 0);
	else
		uv_timer_stop(&a->idle);
}

static void on_session_ended(void *ctx, struct pg_session *s)
{
	struct pg_agent *a = ctx;
	for (size_t i = 0; i < a->session_count; i++) {
		if (a->sessions[i] == s) {
			a->sessions[i] = a->sessions[--a->session_count];
			break;
		}
	}
	pg_log(a->log, PG_INFO, "session ended, %zu left", a->session_count);
	maybe_rest(a);
	restart_idle(a);
}

static void on_undo(void *ctx, struct pg_session *asker, Podgraft__V1__Undone *undone)
{
	struct pg_agent *a = ctx;
	char why[128];
	undone->redirects = (uint32_t)pg_redirects_count(a->redirects);
	undone->connections = (uint32_t)count_open(a);
	for (size_t i = 0; i < a->session_count; i++)
		if (a->sessions[i] != asker)
			pg_session_tell_undone(a->sessions[i], undone);
	snprintf(why, sizeof(why), "undone by %s", undone->by);
	stop(a, why);
}

static struct pg_session *find(const struct pg_agent *a, const uint8_t id[PG_SESSION_BYTES])
{
	for (size_t i = 0; i < a->session_count; i++)
		if (memcmp(pg_session_id(a->sessions[i]), id, PG_SESSION_BYTES) == 0)
			return a->sessions[i];
	return NULL;
}

static bool is_of_undo(const uint8_t id[PG_SESSION_BYTES])
{
	return memcmp(id, pg_session_of_undo, PG_SESSION_BYTES) == 0;
}

/* There is always room for one lane of an undo, be it for want of room that it comes. */
static bool on_has_room(void *ctx, const uint8_t id[PG_SESSION_BYTES])
{
	const struct pg_agent *a = ctx;
	const struct pg_session *s = find(a, id);
	bool is_first = !s || pg_session_is_silent(s);
	if (is_of_undo(id) && is_first)
		return true;
	return (s || a->session_count < SESSIONS_MAX) &&
	       pg_pressure_takes_lane(a->pressure, is_first);
}

static struct pg_session *find_or_add(struct pg_agent *a, const uint8_t id[PG_SESSION_BYTES])
{
	struct pg_session *s = find(a, id);
	if (s)
		return s;
	if (a->session_count >= SESSIONS_MAX + (size_t)is_of_undo(id))
		return NULL;
	struct pg_session_config config = { .loop = a->loop,
					    .log = a->log,
					    .redirects = a->redirects,
					    .connections = a->connections,
					    .pressure = a->pressure,
					    .pool = &a->pool,
					    .max_streams =
						    room_bytes(&a->config) / PG_BY_LAPTOP_BYTES + 1,
					    .undo = on_undo,
					    .ended = on_session_ended,
					    .ctx = a };
	memcpy(config.id, id, PG_SESSION_BYTES);
	s = pg_session_new(&config);
	if (!s)
		return NULL;
	a->sessions[a->session_count++] = s;
	pg_log(a->log, PG_INFO, "session started, %zu now", a->session_count);
	restart_idle(a);
	return s;
}

static void on_linked(void *ctx, int fd, const uint8_t id[PG_SESSION_BYTES], const uint8_t *extra,
		      size_t n)
{
	struct pg_agent *a = ctx;
	struct pg_session *s = find_or_add(a, id);
	if (!s) {
		pg_log(a->log, PG_WARN, "a laptop is turned away: %d sessions already",
		       SESSIONS_MAX);
		close(fd);
		return;
	}
	int rc = pg_session_lane(s, fd, extra, n);
	if (rc < 0)
		pg_log(a->log, PG_WARN, "a laptop is turned away: %s", strerror(-rc));
}

static void tell_facts(void *ctx, struct pg_facts *out)
{
	const struct pg_agent *a = ctx;
	*out = (struct pg_facts){ .sessions = a->session_count,
				  .redirects = pg_redirects_count(a->redirects),
				  .away = pg_redirects_away(a->redirects),
				  .connections = count_open(a),
				  .probes = pg_connections_served(a->connections, PG_AS_PROBE),
				  .served = pg_connections_served(a->connections, PG_BY_LAPTOP),
				  .fallen_back = pg_connections_served(a->connections, PG_BY_APP),
				  .mechanism = pg_redirects_mechanism(a->redirects, PG_INCOMING) };
}

static void print_banner(const struct pg_agent *a)
{
	char key[PG_B64_KEY];
	pg_b64_encode(a->identity.keys.pub, PG_KEY_BYTES, key);
	fprintf(a->log->to, "podgraft-agent/1 listening on 127.0.0.1:%u key %s\n",
		pg_routes_port(a->routes), key);
	fflush(a->log->to);
}

int pg_agent_new(struct pg_loop *loop, const struct pg_log *log,
		 const struct pg_agent_config *config, struct pg_agent **out, struct pg_err *err)
{
	static const struct pg_routes_events events = { .has_room = on_has_room,
							.linked = on_linked,
							.info = tell_facts };
	static const struct pg_redirect_owner orphans = { .arrived = on_orphan };
	static const struct pg_connections_events connections_events = { maybe_rest, on_unserved,
									 on_served };
	struct pg_agent *a = pg_calloc(1, sizeof(*a));
	if (!a)
		return pg_fail(err, -ENOMEM, "start the agent");
	*a = (struct pg_agent){ .loop = loop, .log = log, .config = *config };
	a->pool.bytes = PG_POOL_AGENT;
	uv_timer_init(pg_loop_uv(loop), &a->idle);
	uv_timer_init(pg_loop_uv(loop), &a->drain);
	uv_timer_init(pg_loop_uv(loop), &a->rest);
	a->idle.data = a->drain.data = a->rest.data = a;
	a->identity = (struct pg_identity){ .pod_uid = config->pod_uid,
					    .container = config->container,
					    .profile = config->profile,
					    .version = PG_VERSION };
	memcpy(a->identity.laptop_key, config->laptop_key, PG_KEY_BYTES);
	pg_keys_make(&a->identity.keys);
	a->pressure = pg_pressure_new(loop, room_bytes(config), on_shortage, a);
	a->redirects = pg_redirects_new(loop, log, config->container, a->pressure, &orphans, a);
	a->connections = pg_connections_new(loop, log, a->pressure, &connections_events, a);
	int rc = a->pressure && a->redirects && a->connections
			 ? 0
			 : pg_fail(err, -ENOMEM, "start the agent");
	if (rc == 0 && config->no_owner_flag)
		pg_redirects_disown(a->redirects);
	if (rc == 0)
		rc = pg_routes_new(loop, &a->identity, &events, a, &a->routes, err);
	if (rc < 0) {
		pg_agent_free(a);
		return rc;
	}
	print_banner(a);
	restart_idle(a);
	*out = a;
	return 0;
}

void pg_agent_run(struct pg_agent *a)
{
	pg_loop_on_signal(a->loop, on_signal, a);
	pg_loop_wait(a->loop, &a->done, UINT64_MAX);
	pg_loop_on_signal(a->loop, NULL, NULL);
}

static void on_drain_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void pg_agent_free(struct pg_agent *a)
{
	if (!a)
		return;
	if (a->routes)
		pg_routes_close(a->routes);
	while (a->session_count > 0)
		pg_session_free(a->sessions[--a->session_count]);
	if (a->connections)
		pg_connections_close(a->connections);
	if (a->redirects)
		pg_redirects_close(a->redirects);
	pg_pressure_close(a->pressure);
	uv_close((uv_handle_t *)&a->idle, NULL);
	uv_close((uv_handle_t *)&a->rest, NULL);
	uv_close((uv_handle_t *)&a->drain, on_drain_closed);
}
