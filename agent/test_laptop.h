#pragma once
/* For tests of sessions: a pod with an app and the agent's parts in it, laptops that are linked to
 * it, and clients. One loop drives them all. */
#include "agent/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <uv.h>

#include "agent/test_netns.h"
#include "proto/base/mem.h"
#include "proto/io/lane_sock.h"
#include "proto/io/relay.h"
#include "proto/io/sock.h"
#include "proto/mux/limits.h"

enum { PORT = 8080, OTHER_PORT = 8081, MAX_STREAMS = 4, LAPTOPS = 2, LANES = 2, FIRST_ARMING = 1 };

struct world;

struct laptop {
	struct world *world;
	struct pg_session *session; /* the agent's side of it; NULL once it has ended */
	struct pg_link *lanes[LANES];
	struct pg_pool pool;
	uint32_t asked;
	unsigned told; /* states, unasked */
	uint64_t counts[PG_SERVED_COUNT];
	uint32_t undecided;
	/* The last answer, or what it was told. */
	bool answered;
	Podgraft__V1__RedirectState state;
	int code;
	char text[256], holder[65];
	unsigned undone; /* redirects that ended with the agent */
};

struct world {
	struct netns ns;
	struct pg_loop *loop;
	struct pg_log log;
	struct pg_pressure *pressure;
	struct pg_redirects *redirects;
	struct pg_connections *connections;
	struct pg_pool pool; /* of the agent */
	struct laptop laptops[LAPTOPS];
	int app[2]; /* listeners: IPv4, IPv6 */
	int local;  /* the laptop's; -1: nobody listens there */
	struct sockaddr_storage local_at;
	int relays; /* of the laptops, open now */
	/* The last connection that a laptop was offered. */
	uint32_t opened;
	struct sockaddr_storage opened_to;
	int emptied;
};

static struct world world;

/* ---- the laptop ---- */

PG_UNUSED static void on_relay_ended(void *ctx, enum pg_reset why)
{
	(void)why;
	((struct world *)ctx)->relays--;
}

static const struct pg_relay_events relay_events = { .ended = on_relay_ended };

PG_UNUSED static enum pg_reset on_opened(void *ctx, struct pg_stream *s,
					 const Podgraft__V1__Open *open,
					 struct pg_relay **relay_out)
{
	struct world *w = ((struct laptop *)ctx)->world;
	w->opened = open->redirect;
	pg_addr_set(&w->opened_to, open->local_address.data, (int)open->local_address.len,
		    (uint16_t)open->local_port);
	int fd = pg_sock_connect((struct sockaddr *)&w->local_at, 0);
	if (fd < 0)
		return PG_RESET_REFUSED;
	if (pg_relay_new(w->loop, fd, true, &relay_events, w, relay_out) < 0) {
		close(fd);
		return PG_RESET_LIMIT;
	}
	w->relays++;
	pg_relay_attach(*relay_out, s);
	return 0;
}

PG_UNUSED static void on_control(void *ctx, const Podgraft__V1__Control *msg)
{
	struct laptop *l = ctx;
	if (msg->body_case == PODGRAFT__V1__CONTROL__BODY_REDIRECT_COUNTS) {
		l->counts[PG_BY_LAPTOP] = msg->redirect_counts->laptop;
		l->counts[PG_BY_APP] = msg->redirect_counts->app;
		l->counts[PG_AS_PROBE] = msg->redirect_counts->probes;
		l->undecided = msg->redirect_counts->undecided;
		return;
	}
	l->answered = true;
	if (msg->body_case == PODGRAFT__V1__CONTROL__BODY_UNDONE) {
		l->undone = msg->undone->redirects;
		snprintf(l->holder, sizeof(l->holder), "%s", msg->undone->by);
	}
	if (msg->body_case != PODGRAFT__V1__CONTROL__BODY_REDIRECT_STATUS)
		return;
	if (msg->request == 0)
		l->told++;
	l->state = msg->redirect_status->state;
	l->code = msg->redirect_status->code;
	snprintf(l->text, sizeof(l->text), "%s", msg->redirect_status->text);
	snprintf(l->holder, sizeof(l->holder), "%s", msg->redirect_status->holder);
}

PG_UNUSED static void on_link_ended(void *ctx, const struct pg_err *why)
{
	struct laptop *l = ctx;
	(void)why;
	for (int i = 0; i < LANES; i++) {
		pg_link_free(l->lanes[i]);
		l->lanes[i] = NULL;
	}
}

PG_UNUSED static void on_session_ended(void *ctx, struct pg_session *s)
{
	struct world *w = ctx;
	for (int i = 0; i < LAPTOPS; i++)
		if (w->laptops[i].session == s)
			w->laptops[i].session = NULL;
}

PG_UNUSED static void on_undo(void *ctx, struct pg_session *asker, Podgraft__V1__Undone *undone)
{
	struct world *w = ctx;
	undone->redirects = (uint32_t)pg_redirects_count(w->redirects);
	for (int i = 0; i < LAPTOPS; i++)
		if (w->laptops[i].session && w->laptops[i].session != asker)
			pg_session_tell_undone(w->laptops[i].session, undone);
	pg_redirects_end(w->redirects);
}

PG_UNUSED static void on_emptied(void *ctx)
{
	((struct world *)ctx)->emptied++;
}

PG_UNUSED static void on_unserved(void *ctx, uint32_t arming)
{
	pg_redirects_park(((struct world *)ctx)->redirects, arming);
}

PG_UNUSED static void on_shortage(void *ctx, int code)
{
	pg_redirects_shortage(((struct world *)ctx)->redirects, code);
}

PG_UNUSED static void on_served(void *ctx, uint32_t serial, enum pg_served how)
{
	pg_redirects_served(((struct world *)ctx)->redirects, serial, how);
}

PG_UNUSED static void on_orphan(void *ctx, const struct pg_redirect *rd, const struct pg_arrival *a)
{
	struct world *w = ctx;
	pg_connections_serve(w->connections, NULL, rd, a);
}

PG_UNUSED static void turn(struct world *w, uint64_t ms)
{
	const bool never = false;
	uv_update_time(pg_loop_uv(w->loop));
	pg_loop_wait(w->loop, &never, pg_loop_now_ms(w->loop) + ms);
}

PG_UNUSED static void socket_pair(int *a, int *b)
{
	struct sockaddr_storage at = { 0 };
	socklen_t len = sizeof(at);
	int listener = listen_at("127.0.0.1", 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	*a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*a, (struct sockaddr *)&at, len), 0);
	assert_int_equal(accept_any(&listener, 1, b), 0);
	close(listener);
}

PG_UNUSED static int begin_session(struct world *w, struct laptop *l)
{
	struct pg_session_config config = { .loop = w->loop,
					    .log = &w->log,
					    .redirects = w->redirects,
					    .connections = w->connections,
					    .pressure = w->pressure,
					    .pool = &w->pool,
					    .max_streams = MAX_STREAMS,
					    .undo = on_undo,
					    .ended = on_session_ended,
					    .ctx = w };
	config.id[0] = (uint8_t)(l - w->laptops);
	l->world = w;
	l->pool.bytes = PG_POOL_LAPTOP;
	l->session = pg_session_new(&config);
	return l->session ? 0 : -ENOMEM;
}

/* A lane between the laptop and its session; `*raw_out` instead of the laptop's link, if wanted. */
PG_UNUSED static int add_lane(struct laptop *l, int i, int *raw_out)
{
	struct pg_link_config config = { .laptop = true,
					 .max_streams = 1000,
					 .pool = &l->pool,
					 .events = { on_opened, on_control, on_link_ended },
					 .ctx = l };
	struct pg_lane *lane;
	int agents = -1, laptops = -1;
	socket_pair(&laptops, &agents);
	int rc = pg_session_lane(l->session, agents, NULL, 0);
	if (raw_out) {
		*raw_out = laptops;
		return rc;
	}
	if (rc < 0) {
		close(laptops);
		return rc;
	}
	rc = pg_lane_sock_new(l->world->loop, laptops, (struct pg_lane_events){ 0 }, NULL, &lane);
	return rc < 0 ? rc : pg_link_new(l->world->loop, lane, &config, NULL, 0, &l->lanes[i]);
}

/* Sends a question and waits for the answer: 0, or a negative errno when none came. */
PG_UNUSED static int ask(struct laptop *l, Podgraft__V1__Control *msg)
{
	msg->request = ++l->asked;
	l->answered = false;
	int rc = l->lanes[0] ? pg_link_send(l->lanes[0], msg) : -ENOTCONN;
	for (int i = 0; rc == 0 && i < 60 && !l->answered; i++)
		turn(l->world, 5);
	return rc < 0 ? rc : l->answered ? 0 : -ETIMEDOUT;
}

PG_UNUSED static int start(struct laptop *l, uint32_t id, uint16_t port, const char *owner)
{
	Podgraft__V1__RedirectStart body = PODGRAFT__V1__REDIRECT_START__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	body.redirect = id;
	body.port = port;
	body.owner = (char *)(uintptr_t)owner;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_START;
	msg.redirect_start = &body;
	int rc = ask(l, &msg);
	return rc < 0 ? rc : -l->code;
}

PG_UNUSED static int stop(struct laptop *l, uint32_t id)
{
	Podgraft__V1__RedirectStop body = PODGRAFT__V1__REDIRECT_STOP__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	body.redirect = id;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_STOP;
	msg.redirect_stop = &body;
	int rc = ask(l, &msg);
	return rc < 0 ? rc : -l->code;
}

PG_UNUSED static void say_goodbye(struct laptop *l)
{
	Podgraft__V1__Goodbye body = PODGRAFT__V1__GOODBYE__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	msg.request = ++l->asked;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_GOODBYE;
	msg.goodbye = &body;
	if (l->lanes[0])
		pg_link_send(l->lanes[0], &msg);
}

/* Until nothing is undecided any more, or a laptop's time is over by far. */
PG_UNUSED static void await_last_counts(struct world *w)
{
	for (int i = 0; i < 150 && w->laptops[0].undecided > 0; i++)
		turn(w, 20);
	assert_int_equal(w->laptops[0].undecided, 0);
}

/* A program on the laptop that neither takes a connection nor refuses it, and one that waits there
 * already, so that there is no room for another. */
PG_UNUSED static void hang_program(struct world *w, int fds_out[2])
{
	socklen_t len = sizeof(w->local_at);
	uint8_t bytes[16];
	uint16_t port;
	int fd = listen_at("127.0.0.1", 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&w->local_at, &len), 0);
	pg_addr_bytes(&w->local_at, bytes, &port);
	fds_out[0] = fd;
	fds_out[1] = dial("127.0.0.1", port);
	assert_true(fds_out[1] >= 0);
}

/* ---- set-up ---- */

/* The test's initial state may say how many bytes connections may hold. */
PG_UNUSED static int set_up(void **state)
{
	const uint64_t *room = *state;
	static const struct pg_redirect_owner orphans = { .arrived = on_orphan };
	static const struct pg_connections_events events = { on_emptied, on_unserved, on_served };
	struct world *w = &world;
	struct pg_err err = { 0 };
	socklen_t len = sizeof(w->local_at);
	*w = (struct world){ .log = { .level = PG_ERROR, .to = stderr, .prefix = "agent: " } };
	if (netns_make(&w->ns) < 0)
		return -1;
	w->loop = pg_loop_new(&err);
	w->pool.bytes = PG_POOL_AGENT;
	w->pressure = pg_pressure_new(w->loop, room ? *room : 1 << 30, on_shortage, w);
	w->redirects = pg_redirects_new(w->loop, &w->log, "test", w->pressure, &orphans, w);
	w->connections = pg_connections_new(w->loop, &w->log, w->pressure, &events, w);
	w->app[0] = listen_at("0.0.0.0", PORT);
	w->app[1] = listen_at("::", PORT);
	w->local = listen_at("127.0.0.1", 0);
	assert_int_equal(getsockname(w->local, (struct sockaddr *)&w->local_at, &len), 0);
	for (int i = 0; i < LAPTOPS; i++)
		w->laptops[i].world = w;
	assert_int_equal(begin_session(w, &w->laptops[0]), 0);
	assert_int_equal(add_lane(&w->laptops[0], 0, NULL), 0);
	*state = w;
	return 0;
}

PG_UNUSED static void end_laptop(struct laptop *l)
{
	for (int i = 0; i < LANES; i++) {
		pg_link_free(l->lanes[i]);
		l->lanes[i] = NULL;
	}
	if (l->session)
		pg_session_free(l->session);
	l->session = NULL;
}

PG_UNUSED static int tear_down(void **state)
{
	struct world *w = *state;
	enter(w->ns.pod);
	for (int i = 0; i < LAPTOPS; i++)
		end_laptop(&w->laptops[i]);
	pg_connections_close(w->connections);
	pg_redirects_close(w->redirects);
	pg_pressure_close(w->pressure);
	pg_loop_free(w->loop);
	close(w->app[0]);
	close(w->app[1]);
	if (w->local >= 0)
		close(w->local);
	char text[4096];
	ruleset(text, sizeof(text));
	netns_end(&w->ns);
	if (strstr(text, "podgraft"))
		printf("left behind:\n%s\n", text);
	return strstr(text, "podgraft") ? -1 : 0;
}

/* ---- clients ---- */

PG_UNUSED static int dial_from(struct world *w, int ns, const char *host, uint16_t port)
{
	enter(ns);
	int fd = dial(host, port);
	enter(w->ns.pod);
	return fd;
}

/* What arrives on `fd` within a second, while the loop turns: as recv(2), or a negative errno. */
PG_UNUSED static ssize_t await(struct world *w, int fd, void *p, size_t n)
{
	ssize_t got = -EAGAIN;
	for (int i = 0; i < 200 && got == -EAGAIN; i++) {
		turn(w, 5);
		got = recv(fd, p, n, MSG_DONTWAIT);
		got = got < 0 ? -errno : got;
	}
	return got;
}

enum who { NOBODY, APP, LAPTOP };

/* Who gets the next connection within a second; *fd is its end of it. */
PG_UNUSED static enum who arrived_at(struct world *w, int *fd)
{
	const struct {
		enum who who;
		int fd;
	} listeners[] = { { LAPTOP, w->local }, { APP, w->app[0] }, { APP, w->app[1] } };
	for (int i = 0; i < 200; i++) {
		for (size_t k = 0; k < PG_LEN(listeners); k++) {
			*fd = listeners[k].fd < 0
				      ? -1
				      : accept4(listeners[k].fd, NULL, NULL, SOCK_CLOEXEC);
			if (*fd >= 0)
				return listeners[k].who;
		}
		turn(w, 5);
	}
	return NOBODY;
}

/* Who answers a new client, that is, whose byte it reads. */
PG_UNUSED static enum who who_answers(struct world *w, const char *host)
{
	char byte = 0;
	int server, client = dial_from(w, w->ns.outside, host, PORT);
	assert_true(client >= 0);
	enum who who = arrived_at(w, &server);
	if (who == NOBODY) {
		close(client);
		return NOBODY;
	}
	assert_int_equal(send(server, "s", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(await(w, client, &byte, 1), 1);
	close(client);
	assert_int_equal(await(w, server, &byte, 1), 0);
	close(server);
	turn(w, 20);
	return who;
}

/* Ends what waits to be accepted, and lets the agent see it. */
PG_UNUSED static void empty_app(struct world *w)
{
	const int listeners[] = { w->local, w->app[0], w->app[1] };
	for (size_t i = 0; i < PG_LEN(listeners); i++) {
		for (;;) {
			int fd = accept4(listeners[i], NULL, NULL, SOCK_CLOEXEC);
			if (fd < 0)
				break;
			close(fd);
		}
	}
	turn(w, 10);
}
