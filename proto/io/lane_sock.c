#include "proto/io/lane_sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"
#include "proto/io/watch.h"
#include "proto/wire/frame.h"

enum {
	RECEIVE_BYTES = 256 << 10,
	ROUNDS = 4, /* batches each way in one turn of the loop, so that others have theirs */
};

struct lane_sock {
	struct pg_lane lane;
	struct pg_loop *loop;
	struct pg_watch watch;
	struct pg_task kicked;
	int fd;
	bool ended, closed;
	bool more;                          /* the owner had more to send than one turn takes */
	struct iovec unsent[PG_LANE_SLOTS]; /* what the socket did not take yet */
	int unsent_at, unsent_count;
	uint8_t *slots;   /* PG_LANE_SLOTS of PG_FRAME_SLOT bytes */
	uint8_t *receive; /* RECEIVE_BYTES */
};

static void end(struct lane_sock *s, int code)
{
	if (s->ended || s->closed)
		return;
	s->ended = true;
	pg_watch(&s->watch, 0, NULL);
	pg_loop_not_soon(s->loop, &s->kicked);
	struct pg_err err = { 0 };
	if (code < 0) {
		pg_fail(&err, code, "the lane's socket");
		pg_blame(&err, PG_LINK);
	}
	s->lane.events.ended(s->lane.ctx, code < 0 ? &err : NULL);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct lane_sock *s)
{
	bool has_more = s->more || s->unsent_count > s->unsent_at;
	int events = UV_READABLE | (has_more ? UV_WRITABLE : 0);
	pg_watch(&s->watch, events, on_poll);
}

/* Sends what is left of the last batch: 1 all gone, 0 the socket is full, or a negative errno. */
static int flush(struct lane_sock *s)
{
	while (s->unsent_at < s->unsent_count) {
		struct msghdr msg = { .msg_iov = s->unsent + s->unsent_at,
				      .msg_iovlen = (size_t)(s->unsent_count - s->unsent_at) };
		ssize_t n = sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN ? 0 : errno == EINTR ? 0 : -errno;
		for (size_t left = (size_t)n; left > 0;) {
			struct iovec *v = &s->unsent[s->unsent_at];
			size_t part = left < v->iov_len ? left : v->iov_len;
			v->iov_base = (uint8_t *)v->iov_base + part;
			v->iov_len -= part;
			left -= part;
			s->unsent_at += v->iov_len == 0;
		}
	}
	return 1;
}

/* Lets the owner fill the slots: how many are in use now. */
static int refill(struct lane_sock *s)
{
	for (int i = 0; i < PG_LANE_SLOTS; i++)
		s->unsent[i] =
			(struct iovec){ s->slots + (size_t)i * PG_FRAME_SLOT, PG_FRAME_SLOT };
	s->unsent_at = 0;
	s->unsent_count = 0;
	return s->unsent_count = s->lane.events.pull(s->lane.ctx, s->unsent, PG_LANE_SLOTS);
}

static void send_batches(struct lane_sock *s)
{
	int rc = flush(s);
	for (int round = 0; rc == 1 && round < ROUNDS; round++) {
		int count = refill(s);
		if (s->closed || s->ended)
			return;
		if (count == 0) {
			s->more = false;
			watch(s);
			return;
		}
		rc = flush(s);
	}
	if (rc < 0) {
		end(s, rc);
		return;
	}
	s->more = rc == 1; /* but others have their turn first */
	watch(s);
}

static void receive_batches(struct lane_sock *s)
{
	for (int round = 0; round < ROUNDS && !s->closed && !s->ended; round++) {
		ssize_t n = recv(s->fd, s->receive, RECEIVE_BYTES, MSG_DONTWAIT);
		if (n > 0) {
			s->lane.events.received(s->lane.ctx, s->receive, (size_t)n);
			if (n < RECEIVE_BYTES)
				return;
		} else if (n == 0) {
			end(s, 0);
		} else if (errno != EINTR) {
			if (errno != EAGAIN)
				end(s, -errno);
			return;
		}
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct lane_sock *s = poll->data;
	pg_watch_told(&s->watch, status);
	if (status < 0) {
		int code = pg_sock_error(s->fd);
		end(s, code < 0 ? code : -ECONNRESET);
		return;
	}
	if (events & UV_READABLE)
		receive_batches(s);
	if ((events & UV_WRITABLE) && !s->closed && !s->ended)
		send_batches(s);
}

static void on_kicked(void *ctx)
{
	send_batches(ctx);
}

static void kick(struct pg_lane *lane)
{
	struct lane_sock *s = (struct lane_sock *)lane;
	if (!s->ended && !s->closed && s->unsent_at == s->unsent_count)
		pg_loop_soon(s->loop, &s->kicked);
}

static void on_closed(uv_handle_t *handle)
{
	struct lane_sock *s = handle->data;
	close(s->fd);
	free(s->slots);
	free(s->receive);
	free(s);
}

static void close_lane(struct pg_lane *lane)
{
	struct lane_sock *s = (struct lane_sock *)lane;
	s->closed = true;
	/* What was pulled already is on its way as far as the socket takes it at once. */
	if (!s->ended)
		flush(s);
	pg_watch_close(&s->watch, on_closed);
	pg_loop_not_soon(s->loop, &s->kicked);
}

static const struct pg_lane_ops ops = { .kick = kick, .close = close_lane };

/* A dead path is noticed by our own heartbeat; this frees sockets that nobody heartbeats on. */
static void keep_alive(int fd)
{
	const int on = 1, ms = 30000;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
#ifdef TCP_USER_TIMEOUT
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
#endif
	(void)ms;
}

int pg_lane_sock_new(struct pg_loop *loop, int fd_taken, struct pg_lane_events events, void *ctx,
		     struct pg_lane **out)
{
	pg_auto_close int fd = fd_taken;
	pg_auto_free struct lane_sock *s = pg_calloc(1, sizeof(*s));
	pg_auto_free uint8_t *slots = pg_calloc(PG_LANE_SLOTS, PG_FRAME_SLOT);
	pg_auto_free uint8_t *receive = pg_calloc(RECEIVE_BYTES, 1);
	if (!s || !slots || !receive)
		return -ENOMEM;
	int rc = pg_sock_prepare(fd);
	if (rc == 0)
		rc = uv_poll_init(pg_loop_uv(loop), &s->watch.poll, fd);
	if (rc < 0)
		return rc;
	s->loop = loop;
	s->kicked = (struct pg_task){ .run = on_kicked, .ctx = s };
	s->watch.poll.data = s;
	s->lane = (struct pg_lane){ .ops = &ops, .events = events, .ctx = ctx };
	s->fd = pg_take_fd(&fd);
	s->slots = pg_take_ptr(&slots);
	s->receive = pg_take_ptr(&receive);
	keep_alive(s->fd);
	watch(s);
	*out = &s->lane;
	pg_take_ptr(&s);
	return 0;
}
