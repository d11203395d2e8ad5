#include "proto/io/relay.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"
#include "proto/io/sock.h"
#include "proto/io/watch.h"
#include "proto/mux/limits.h"

/* What a server may write for a client that is gone before it learns of that. */
enum { WASTE_MAX = PG_UNACCEPTED_MAX };

/* How the socket is watched: for writing while bytes wait for it, and for reading until bytes come
 * that the stream does not fetch. While neither, it stays registered for what does not come, so
 * that epoll still reports a reset: for urgent data, or for a FIN once urgent data has come. */
struct pg_relay {
	struct pg_watch watch;
	int fd;
	struct pg_stream *stream; /* NULL before attach and after its end */
	const struct pg_relay_events *events;
	void *ctx;
	struct pg_byteq out;   /* from the stream, for the socket */
	size_t own;            /* of it, at its front: ours, not the stream's */
	struct pg_byteq first; /* read before we had the socket */
	struct pg_byteq kept;  /* read before ACCEPTED, to be replayed elsewhere */
	uint64_t bytes_up, bytes_down;
	size_t wasted; /* came for a socket that was reset */
	bool connecting;
	bool told;       /* the stream knows that there are bytes, and has not fetched them */
	bool full;       /* ... nor when we told it again: it has no credit */
	bool got_eof;    /* the socket's read half is at its end */
	bool stream_eof; /* the stream's is: shutdown after `out` */
	bool sent_eof;   /* shutdown(SHUT_WR) is done */
	bool urgent;     /* urgent data waits: epoll would report it without end */
	bool hung_up;    /* so would its end: nothing more comes than what is unread */
	bool broken;  /* reset by its peer: what it had sent may still be read, nothing written */
	bool closing; /* uv_close() is under way */
};

static void on_poll(uv_poll_t *handle, int status, int events);

static void watch(struct pg_relay *r)
{
	if (r->closing)
		return;
	int events = 0, quiet = r->urgent ? UV_DISCONNECT : UV_PRIORITIZED;
	if (r->connecting || r->out.len > 0)
		events |= UV_WRITABLE;
	if (!r->full && !r->got_eof && !r->connecting)
		events |= UV_READABLE;
	if (events == 0 && !r->hung_up)
		events = quiet;
	pg_watch(&r->watch, r->broken ? 0 : events, on_poll);
}

static void on_closed(uv_handle_t *handle)
{
	struct pg_relay *r = handle->data;
	pg_byteq_fini(&r->out);
	pg_byteq_fini(&r->first);
	pg_byteq_fini(&r->kept);
	free(r);
}

/* The end of the relay: the socket is closed, with a reset or in order, and its memory goes after
 * the loop's turn. */
static void finish(struct pg_relay *r, bool reset)
{
	assert(!r->closing);
	r->closing = true;
	pg_watch_close(&r->watch, on_closed);
	int fd = pg_take_fd(&r->fd);
	if (fd >= 0 && reset)
		pg_sock_close_reset(fd);
	else if (fd >= 0)
		close(fd);
}

/* Our own end of the stream, for a reason of ours. */
static void give_up(struct pg_relay *r, enum pg_reset why)
{
	if (r->stream)
		pg_stream_reset(r->stream, why);
	r->stream = NULL;
	finish(r, true);
	r->events->ended(r->ctx, why);
}

/* The socket is reset. What arrived before may still be read: let the stream fetch it, and learn
 * of the reset at its end. */
static void break_down(struct pg_relay *r)
{
	size_t unsent = r->out.len - r->own;
	r->own = 0;
	r->broken = true;
	if (r->got_eof || !r->stream) {
		give_up(r, PG_RESET_PEER);
		return;
	}
	pg_byteq_fini(&r->out);
	if (unsent > 0)
		pg_stream_consumed(r->stream, unsent);
	watch(r);
	pg_stream_readable(r->stream);
}

/* Sends up to `n` bytes: what was taken, 0 when the socket is full, or a negative errno. */
static ssize_t send_some(struct pg_relay *r, const uint8_t *p, size_t n)
{
	ssize_t sent;
	do
		sent = send(r->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EAGAIN ? 0 : -errno;
	return sent;
}

static void shut_when_flushed(struct pg_relay *r)
{
	if (!r->stream_eof || r->out.len > 0 || r->sent_eof || r->connecting || r->broken)
		return;
	r->sent_eof = true;
	shutdown(r->fd, SHUT_WR);
}

static void flush(struct pg_relay *r)
{
	const uint8_t *run;
	size_t n;
	while ((n = pg_byteq_peek(&r->out, &run)) > 0) {
		ssize_t sent = send_some(r, run, n);
		if (sent < 0) {
			break_down(r);
			return;
		}
		if (sent == 0)
			break;
		size_t own = pg_min((size_t)sent, r->own);
		r->own -= own;
		r->bytes_down += (uint64_t)sent - own;
		pg_byteq_drop(&r->out, (size_t)sent);
		shut_when_flushed(r);
		if (r->stream && (size_t)sent > own)
			pg_stream_consumed(r->stream, (size_t)sent - own);
		if (r->closing)
			return;
	}
	watch(r);
}

static void connected(struct pg_relay *r)
{
	r->connecting = false;
	pg_stream_accept(r->stream);
	pg_stream_readable(r->stream);
	shut_when_flushed(r);
	flush(r);
}

/* connect(2) has come to an end. */
static void conclude(struct pg_relay *r)
{
	int code = pg_sock_error(r->fd);
	if (code == 0)
		connected(r);
	else
		give_up(r, code == -ETIMEDOUT ? PG_RESET_TIMEOUT : PG_RESET_REFUSED);
}

/* The socket raised what nobody asked for: an error, urgent data, or a hang-up. */
static void stirred(struct pg_relay *r, int status, int events)
{
	struct pollfd now = { .fd = r->fd };
	if (status < 0 || (poll(&now, 1, 0) > 0 && (now.revents & POLLERR))) {
		break_down(r);
		return;
	}
	if ((now.revents & POLLHUP) || (events & UV_DISCONNECT))
		r->hung_up = true;
	else
		r->urgent = true;
	watch(r);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct pg_relay *r = handle->data;
	pg_watch_told(&r->watch, status);
	if (r->connecting) {
		conclude(r);
		return;
	}
	if (status < 0 || (events & (UV_PRIORITIZED | UV_DISCONNECT))) {
		stirred(r, status, events);
		return;
	}
	if (events & UV_READABLE) {
		r->full = r->told;
		r->told = true;
		if (r->full)
			watch(r);
		else
			pg_stream_readable(r->stream);
	}
	if ((events & UV_WRITABLE) && !r->closing)
		flush(r);
}

int pg_relay_new(struct pg_loop *loop, int fd, bool connecting,
		 const struct pg_relay_events *events, void *ctx, struct pg_relay **out)
{
	struct pg_relay *r = pg_calloc(1, sizeof(*r));
	int rc = r ? uv_poll_init(pg_loop_uv(loop), &r->watch.poll, fd) : -ENOMEM;
	if (rc < 0) {
		free(r);
		return rc;
	}
	r->watch.poll.data = r;
	r->fd = fd;
	r->events = events;
	r->ctx = ctx;
	r->connecting = connecting;
	pg_byteq_init(&r->out, PG_POOL_LAPTOP / PG_POOL_SHARE + PG_CREDIT_OWN);
	pg_byteq_init(&r->first, PG_UNACCEPTED_MAX);
	pg_byteq_init(&r->kept, PG_UNACCEPTED_MAX);
	*out = r;
	return 0;
}

void pg_relay_attach(struct pg_relay *r, struct pg_stream *s)
{
	r->stream = s;
	if (r->connecting && pg_sock_is_connected(r->fd)) {
		connected(r);
		return;
	}
	watch(r);
	if (!r->connecting) /* what the client said at once leaves together with OPEN */
		pg_stream_readable(s);
}

int pg_relay_put_back(struct pg_relay *r, struct pg_byteq *first)
{
	const uint8_t *run;
	size_t n = pg_byteq_peek(first, &run);
	assert(!r->stream && r->first.len == 0 && n == first->len);
	if (r->events->refused && pg_byteq_put(&r->kept, run, n) < 0)
		return -ENOMEM;
	r->first = *first;
	pg_byteq_init(first, first->cap);
	return 0;
}

int pg_relay_begin_with(struct pg_relay *r, const uint8_t *p, size_t n)
{
	assert(r->connecting && !r->stream && r->out.len == 0);
	int rc = pg_byteq_put(&r->out, p, n);
	r->own = rc == 0 ? n : 0;
	return rc;
}

void pg_relay_free(struct pg_relay *r)
{
	if (r->closing)
		return;
	if (r->stream)
		pg_stream_reset(r->stream, PG_RESET_GOING);
	r->stream = NULL;
	finish(r, true);
}

int pg_relay_release(struct pg_relay *r)
{
	assert(!r->stream);
	int fd = pg_take_fd(&r->fd);
	finish(r, false);
	return fd;
}

uint64_t pg_relay_bytes_up(const struct pg_relay *r)
{
	return r->bytes_up;
}

uint64_t pg_relay_bytes_down(const struct pg_relay *r)
{
	return r->bytes_down;
}

void pg_relay_on_accepted(void *user)
{
	struct pg_relay *r = user;
	pg_byteq_fini(&r->kept);
	if (r->events->accepted)
		r->events->accepted(r->ctx);
}

/* The peer of our socket is gone: what is still sent to it is thrown away, but not for ever, while
 * bytes of its own wait for a far side that does not take them. */
static void waste(struct pg_relay *r, size_t n)
{
	r->wasted += n;
	if (r->wasted > WASTE_MAX) {
		give_up(r, PG_RESET_PEER);
		return;
	}
	pg_stream_consumed(r->stream, n);
	if (!r->broken)
		break_down(r);
}

void pg_relay_on_data(void *user, const uint8_t *p, size_t n)
{
	struct pg_relay *r = user;
	ssize_t sent = 0;
	if (!r->connecting && !r->broken && r->out.len == 0)
		sent = send_some(r, p, n);
	if (r->broken || sent < 0) {
		waste(r, n);
		return;
	}
	if ((size_t)sent < n) {
		if (pg_byteq_put(&r->out, p + sent, n - (size_t)sent) < 0) {
			give_up(r, PG_RESET_LIMIT);
			return;
		}
		watch(r);
	}
	r->bytes_down += (uint64_t)sent;
	if (sent > 0)
		pg_stream_consumed(r->stream, (size_t)sent);
}

void pg_relay_on_eof(void *user)
{
	struct pg_relay *r = user;
	r->stream_eof = true;
	shut_when_flushed(r);
}

/* The far side never served the connection: hands the untouched socket to whoever can. */
static void hand_back(struct pg_relay *r, enum pg_reset why)
{
	struct pg_byteq kept = r->kept;
	int fd = pg_take_fd(&r->fd);
	pg_byteq_init(&r->kept, 1);
	finish(r, false);
	r->events->refused(r->ctx, fd, &kept, r->got_eof, why);
}

void pg_relay_give_back(struct pg_relay *r, enum pg_reset why)
{
	assert(r->stream && !pg_stream_is_accepted(r->stream) && r->events->refused);
	pg_stream_reset(pg_take_ptr(&r->stream), why);
	hand_back(r, why);
}

void pg_relay_on_gone(void *user, enum pg_reset reason)
{
	struct pg_relay *r = user;
	bool unserved = !pg_stream_is_accepted(r->stream) && !r->broken;
	r->stream = NULL;
	if (reason != 0 && reason != PG_RESET_PEER && unserved && r->events->refused) {
		hand_back(r, reason);
		return;
	}
	finish(r, reason != 0);
	r->events->ended(r->ctx, reason);
}

/* What was read before ACCEPTED, so that somebody else can still serve the connection. The
 * multiplexer sends no more than fits. 0, or -ENOMEM: nobody else can. */
static int keep(struct pg_relay *r, const struct iovec *iov, int count, size_t n)
{
	for (int i = 0; i < count && n > 0; i++) {
		size_t part = pg_min(n, iov[i].iov_len);
		if (pg_byteq_put(&r->kept, iov[i].iov_base, part) < 0)
			return -ENOMEM;
		n -= part;
	}
	return 0;
}

/* What was read before comes first; as readv(2). */
static ssize_t read_some(struct pg_relay *r, const struct iovec *iov, int count)
{
	const uint8_t *run;
	size_t had = pg_min(pg_byteq_peek(&r->first, &run), iov[0].iov_len);
	if (had > 0) {
		memcpy(iov[0].iov_base, run, had);
		pg_byteq_drop(&r->first, had);
		return (ssize_t)had;
	}
	ssize_t n;
	do
		n = readv(r->fd, iov, count);
	while (n < 0 && errno == EINTR);
	return n;
}

ssize_t pg_relay_on_read(void *user, const struct iovec *iov, int count)
{
	struct pg_relay *r = user;
	bool is_new = r->first.len == 0; /* else it was kept already */
	ssize_t n = read_some(r, iov, count);
	if (n < 0 && (errno != EAGAIN || r->broken))
		return r->broken ? -ECONNRESET : -errno;
	r->urgent = r->hung_up = false; /* epoll will tell if they still are */
	r->told = r->full = false;      /* and if there is more */
	r->got_eof = n == 0;
	watch(r);
	if (n < 0)
		return -EAGAIN;
	if (n == 0)
		return r->broken ? -ECONNRESET : 0;
	r->bytes_up += (uint64_t)n;
	if (is_new && r->events->refused && !pg_stream_is_accepted(r->stream) &&
	    keep(r, iov, count, (size_t)n) < 0)
		return -ENOMEM;
	if (r->broken) /* no event tells of the rest */
		pg_stream_readable(r->stream);
	return n;
}
