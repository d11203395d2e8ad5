#include "proto/io/bridge.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <uv.h>

#include "proto/base/mem.h"
#include "proto/io/sock.h"
#include "proto/io/watch.h"
#include "proto/mux/limits.h"

enum { CLIENT, SERVER, SIDES };

struct side {
	struct pg_watch watch;
	struct pg_bridge *bridge;
	int fd;
	struct pg_byteq out; /* for this socket; what the other side's was read into */
	bool got_eof;        /* nothing more to be read here */
	bool sent_eof;       /* shutdown(SHUT_WR) is done here */
	/* As in relay.c: what epoll would report without end, so it is not watched for. */
	bool urgent, hung_up;
};

struct pg_bridge {
	struct side sides[SIDES];
	const struct pg_bridge_events *events;
	void *ctx;
	int open_handles;
	bool connecting, closing;
};

static void on_poll(uv_poll_t *poll, int status, int events);

static struct side *other(struct side *s)
{
	return &s->bridge->sides[s == &s->bridge->sides[CLIENT] ? SERVER : CLIENT];
}

static void watch(struct side *s)
{
	int events = 0;
	bool connecting = s->bridge->connecting && s == &s->bridge->sides[SERVER];
	if (s->bridge->closing)
		return;
	if (s->out.len > 0 || connecting)
		events |= UV_WRITABLE;
	if (!s->got_eof && other(s)->out.len == 0 && !connecting)
		events |= UV_READABLE;
	if (events == 0 && !s->hung_up && !(s->got_eof && s->sent_eof))
		events = s->urgent ? UV_DISCONNECT : UV_PRIORITIZED; /* a reset is still reported */
	pg_watch(&s->watch, events, on_poll);
}

static void on_closed(uv_handle_t *handle)
{
	struct side *s = handle->data;
	struct pg_bridge *b = s->bridge;
	if (--b->open_handles == 0)
		free(b);
}

static void finish(struct pg_bridge *b, bool reset)
{
	assert(!b->closing);
	b->closing = true;
	for (int i = 0; i < SIDES; i++) {
		struct side *s = &b->sides[i];
		pg_watch_close(&s->watch, on_closed);
		if (reset)
			pg_sock_close_reset(s->fd);
		else
			close(s->fd);
		pg_byteq_fini(&s->out);
	}
}

static void end(struct pg_bridge *b, bool reset)
{
	finish(b, reset);
	b->events->ended(b->ctx);
}

/* Sends up to `n` bytes: what was taken, 0 when the socket is full, or a negative errno. */
static ssize_t send_some(const struct side *s, const uint8_t *p, size_t n)
{
	ssize_t sent = send(s->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return sent;
}

/* Sends what is queued for `s`: 0, or a negative errno when its socket is reset. */
static int flush(struct side *s)
{
	const uint8_t *run;
	size_t n;
	while ((n = pg_byteq_peek(&s->out, &run)) > 0) {
		ssize_t sent = send_some(s, run, n);
		if (sent <= 0)
			return (int)sent;
		pg_byteq_drop(&s->out, (size_t)sent);
	}
	if (other(s)->got_eof && !s->sent_eof) {
		s->sent_eof = true;
		shutdown(s->fd, SHUT_WR);
	}
	return 0;
}

/* Reads once from `s` for the other side, which mostly takes it at once; what it does not is
 * queued. 0, or a negative errno when a socket is reset. */
static int fetch(struct side *s)
{
	uint8_t bytes[PG_BRIDGE_BYTES];
	struct side *to = other(s);
	ssize_t n = recv(s->fd, bytes, sizeof(bytes), MSG_DONTWAIT), sent = 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	s->urgent = s->hung_up = false;
	s->got_eof = n == 0;
	if (n > 0 && to->out.len == 0 && !s->bridge->connecting)
		sent = send_some(to, bytes, (size_t)n);
	if (sent < 0)
		return (int)sent;
	if (pg_byteq_put(&to->out, bytes + sent, (size_t)(n - sent)) < 0)
		return -ENOMEM;
	return s->bridge->connecting ? 0 : flush(to);
}

/* The socket raised what nobody asked for: an error, which is returned, urgent data, or a hang-up.
 */
static int stirred(struct side *s, int status, int events)
{
	struct pollfd now = { .fd = s->fd };
	if (status < 0 || (poll(&now, 1, 0) > 0 && (now.revents & POLLERR)))
		return -ECONNRESET;
	if ((now.revents & POLLHUP) || (events & UV_DISCONNECT))
		s->hung_up = true;
	else
		s->urgent = true;
	return 0;
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct side *s = handle->data;
	struct pg_bridge *b = s->bridge;
	int rc = 0;
	pg_watch_told(&s->watch, status);
	if (b->connecting && s == &b->sides[SERVER]) {
		rc = pg_sock_error(s->fd);
		if (rc == 0 && status >= 0) {
			b->connecting = false;
			b->events->joined(b->ctx);
			rc = flush(s);
		}
	} else if (status < 0 || (events & (UV_PRIORITIZED | UV_DISCONNECT))) {
		rc = stirred(s, status, events);
	}
	if (rc == 0 && (events & UV_READABLE))
		rc = fetch(s);
	if (rc == 0 && (events & UV_WRITABLE))
		rc = flush(s);
	if (rc < 0)
		end(b, true);
	else if (b->sides[CLIENT].sent_eof && b->sides[SERVER].sent_eof)
		end(b, false);
	else
		for (int i = 0; i < SIDES; i++)
			watch(&b->sides[i]);
}

int pg_bridge_new(struct pg_loop *loop, int client, int server, struct pg_byteq *first,
		  bool client_eof, const struct pg_bridge_events *events, void *ctx,
		  struct pg_bridge **out)
{
	struct pg_bridge *b = pg_calloc(1, sizeof(*b));
	const int fds[SIDES] = { client, server };
	int rc = b ? 0 : -ENOMEM;
	for (int i = 0; rc == 0 && i < SIDES; i++) {
		struct side *s = &b->sides[i];
		rc = uv_poll_init(pg_loop_uv(loop), &s->watch.poll, fds[i]);
		if (rc < 0)
			break;
		b->open_handles++;
		s->watch.poll.data = s;
		s->bridge = b;
		s->fd = fds[i];
		pg_byteq_init(&s->out, PG_BRIDGE_BYTES);
	}
	if (rc < 0) {
		pg_sock_close_reset(client);
		pg_sock_close_reset(server);
		for (int i = 0; b && i < b->open_handles; i++)
			pg_watch_close(&b->sides[i].watch, on_closed);
		if (b && b->open_handles == 0)
			free(b);
		return rc;
	}
	b->events = events;
	b->ctx = ctx;
	b->connecting = true;
	b->sides[SERVER].out = *first;
	b->sides[SERVER].out.cap = PG_UNACCEPTED_MAX;
	pg_byteq_init(first, first->cap);
	b->sides[CLIENT].got_eof = client_eof;
	for (int i = 0; i < SIDES; i++)
		watch(&b->sides[i]);
	*out = b;
	return 0;
}

void pg_bridge_free(struct pg_bridge *b)
{
	finish(b, true);
}
