#include "agent/intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"

enum {
	ACCEPTS_A_TURN = 64, /* then the others have their turn */
	PAUSE_MS = 100,      /* without descriptors: the loop stays idle meanwhile */
	PAUSES_TOLD_MS = 10000,
};

struct pg_intake {
	struct pg_loop *loop;
	const struct pg_log *log;
	const struct pg_intake_events *events;
	void *ctx;
	struct pg_rules *rules;
	uv_poll_t polls[PG_LISTENERS];
	int fds[PG_LISTENERS];
	uv_poll_t others; /* agents that want our ports */
	uv_timer_t pause;
	struct pg_quota pauses; /* those that are told */
	int open_handles;
	bool watches_others, closing;
};

static void listen_again(struct pg_intake *in);

/* One accepted socket: to whom it may concern, or reset when it came here by no rule. */
static void deliver(struct pg_intake *in, int fd, const struct sockaddr_storage *peer)
{
	struct sockaddr_storage local = { 0 };
	enum pg_direction direction;
	if (pg_rules_original(in->rules, fd, &local, &direction) < 0)
		pg_sock_close_reset(fd);
	else
		in->events->arrived(in->ctx, fd, peer, &local, direction);
}

static void on_pause_over(uv_timer_t *timer)
{
	listen_again(timer->data);
}

/* No room for one more: the queue waits in the kernel, the loop goes on. */
static void pause_listeners(struct pg_intake *in, const char *why)
{
	uint32_t pass = pg_quota_pass(&in->pauses, 1, PAUSES_TOLD_MS, pg_loop_now_ms(in->loop));
	if (pass > 0)
		pg_log(in->log, PG_WARN, "cannot accept: %s; trying again", why);
	for (int i = 0; i < PG_LISTENERS; i++)
		if (in->fds[i] >= 0)
			uv_poll_stop(&in->polls[i]);
	uv_timer_start(&in->pause, on_pause_over, PAUSE_MS, 0);
}

static void accept_some(struct pg_intake *in, int listener, int most)
{
	for (int i = 0; i < most && !in->closing; i++) {
		struct sockaddr_storage peer = { 0 };
		socklen_t len = sizeof(peer);
		if (!in->events->has_room(in->ctx)) {
			pause_listeners(in, "no room for more connections");
			return;
		}
		int fd = accept4(listener, (struct sockaddr *)&peer, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			deliver(in, fd, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			pause_listeners(in, strerror(errno));
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
	struct pg_intake *in = poll->data;
	(void)status;
	(void)events;
	accept_some(in, in->fds[poll - in->polls], ACCEPTS_A_TURN);
}

static void listen_again(struct pg_intake *in)
{
	for (int i = 0; i < PG_LISTENERS; i++)
		if (in->fds[i] >= 0)
			uv_poll_start(&in->polls[i], UV_READABLE, on_listener);
}

/* A socket for which too much came is reported as an error, with which libuv stops the poll. */
static void on_others(uv_poll_t *poll, int status, int events)
{
	struct pg_intake *in = poll->data;
	(void)events;
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_others);
	in->events->wanted(in->ctx);
}

void pg_intake_empty(struct pg_intake *in)
{
	for (int i = 0; i < PG_LISTENERS; i++)
		if (in->fds[i] >= 0)
			accept_some(in, in->fds[i], SOMAXCONN);
}

static void on_closed(uv_handle_t *handle)
{
	struct pg_intake *in = handle->data;
	if (--in->open_handles == 0)
		free(in);
}

void pg_intake_close(struct pg_intake *in)
{
	in->closing = true;
	for (int i = 0; i < PG_LISTENERS; i++)
		if (in->fds[i] >= 0)
			uv_close((uv_handle_t *)&in->polls[i], on_closed);
	if (in->watches_others)
		uv_close((uv_handle_t *)&in->others, on_closed);
	uv_close((uv_handle_t *)&in->pause, on_closed);
	pg_rules_close(pg_take_ptr(&in->rules)); /* the next intake may open in this very turn */
}

static int watch_others(struct pg_intake *in, struct pg_err *err)
{
	int rc = uv_poll_init(pg_loop_uv(in->loop), &in->others, pg_rules_watch(in->rules));
	if (rc < 0)
		return pg_fail(err, rc, "watch the rules");
	in->others.data = in;
	in->watches_others = true;
	in->open_handles++;
	uv_poll_start(&in->others, UV_READABLE, on_others);
	return 0;
}

int pg_intake_watch(struct pg_intake *in, struct pg_err *err)
{
	int fds[PG_LISTENERS];
	pg_rules_listeners(in->rules, fds);
	for (int i = 0; i < PG_LISTENERS; i++) {
		if (fds[i] < 0 || in->fds[i] >= 0)
			continue;
		int rc = uv_poll_init(pg_loop_uv(in->loop), &in->polls[i], fds[i]);
		if (rc < 0)
			return pg_fail(err, rc, "watch a listener");
		in->fds[i] = fds[i];
		in->polls[i].data = in;
		in->open_handles++;
	}
	listen_again(in);
	return 0;
}

int pg_intake_open(struct pg_loop *loop, const struct pg_log *log,
		   const struct pg_rules_config *config, const struct pg_intake_events *events,
		   void *ctx, struct pg_intake **out, struct pg_err *err)
{
	struct pg_intake *in = pg_calloc(1, sizeof(*in));
	if (!in)
		return pg_fail(err, -ENOMEM, "listen for redirected connections");
	*in = (struct pg_intake){
		.loop = loop, .log = log, .events = events, .ctx = ctx, .fds = { -1, -1, -1, -1 }
	};
	int rc = pg_rules_open(config, &in->rules, err);
	if (rc < 0) {
		free(in);
		return rc;
	}
	uv_timer_init(pg_loop_uv(loop), &in->pause);
	in->pause.data = in;
	in->open_handles = 1;
	rc = watch_others(in, err);
	if (rc == 0)
		rc = pg_intake_watch(in, err);
	if (rc < 0)
		pg_intake_close(in);
	else
		*out = in;
	return rc;
}

struct pg_rules *pg_intake_rules(const struct pg_intake *in)
{
	return in->rules;
}
