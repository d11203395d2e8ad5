#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "injector/http_head.h"
#include "injector/http_priv.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"
#include "proto/io/watch.h"

/* A connection that leaves HTTP behind. libcurl makes it (CURLOPT_CONNECT_ONLY: TCP, proxy, TLS)
 * and carries its bytes (curl_easy_send, curl_easy_recv); the head of the upgrade is ours. */

enum {
	HEAD_MAX = 64 << 10,
	BODY_MAX = 64 << 10, /* of a refusal */
	BODY_MS = 3000,      /* to read it: its length may be a lie, or not told at all */
};

struct pg_http_conn {
	struct pg_http_xfer x;
	struct pg_watch watch;
	uv_idle_t more; /* runs while bytes wait inside TLS, where no poll sees them */
	void (*ready)(void *ctx, bool readable, bool writable);
	void *ctx;
	int closing_handles; /* of `watch` and `more`; the last one frees us */
	bool has_handles, holds_more, is_closed;
};

static int os_error(struct pg_http_conn *c)
{
	long os_errno = 0;
	curl_easy_getinfo(c->x.easy, CURLINFO_OS_ERRNO, &os_errno);
	return os_errno > 0 && os_errno != EAGAIN ? -(int)os_errno : -ECONNRESET;
}

ssize_t pg_http_conn_recv(struct pg_http_conn *c, void *p, size_t n)
{
	size_t got = 0;
	CURLcode rc = curl_easy_recv(c->x.easy, p, n, &got);
	c->holds_more = rc == CURLE_OK && got > 0 && pg_http_tls_holds(&c->x);
	if (rc == CURLE_AGAIN)
		return -EAGAIN;
	return rc == CURLE_OK ? (ssize_t)got : os_error(c);
}

bool pg_http_conn_holds_more(const struct pg_http_conn *c)
{
	return c->holds_more;
}

ssize_t pg_http_conn_send(struct pg_http_conn *c, const void *p, size_t n)
{
	size_t sent = 0;
	CURLcode rc = curl_easy_send(c->x.easy, p, n, &sent);
	if (rc == CURLE_AGAIN || (rc == CURLE_OK && sent == 0 && n > 0))
		return -EAGAIN;
	return rc == CURLE_OK ? (ssize_t)sent : os_error(c);
}

static void tell_ready(struct pg_http_conn *c, bool readable, bool writable);

static void on_more(uv_idle_t *more)
{
	tell_ready(more->data, true, false);
}

/* An error of the poll itself shows in the next recv. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct pg_http_conn *c = poll->data;
	pg_watch_told(&c->watch, status);
	bool readable = status < 0 || (events & UV_READABLE);
	bool writable = status < 0 || (events & UV_WRITABLE);
	if (uv_is_active((uv_handle_t *)&c->more))
		readable = false; /* has its turn already */
	if (readable || writable)
		tell_ready(c, readable, writable);
}

/* The owner may close us in here; the memory lives until the handles have closed. */
static void tell_ready(struct pg_http_conn *c, bool readable, bool writable)
{
	if (!c->ready)
		return;
	c->ready(c->ctx, readable, writable);
	if (c->is_closed)
		return;
	if (c->holds_more && c->ready)
		uv_idle_start(&c->more, on_more);
	else
		uv_idle_stop(&c->more);
}

void pg_http_conn_poll(struct pg_http_conn *c, bool want_write,
		       void (*ready)(void *ctx, bool readable, bool writable), void *ctx)
{
	c->ready = ready;
	c->ctx = ctx;
	pg_watch(&c->watch, want_write ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_poll);
	if (c->holds_more)
		uv_idle_start(&c->more, on_more);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct pg_http_conn *c = handle->data;
	if (--c->closing_handles == 0)
		free(c);
}

void pg_http_conn_close(struct pg_http_conn *c)
{
	if (!c)
		return;
	assert(!c->is_closed);
	c->is_closed = true;
	if (c->has_handles) {
		c->closing_handles = 2;
		pg_watch_close(&c->watch, on_handle_closed);
		uv_close((uv_handle_t *)&c->more, on_handle_closed);
	}
	pg_http_xfer_fini(&c->x); /* after uv_close(): the descriptor must leave the poll first */
	if (!c->has_handles)
		free(c);
}

/* The request's head: what the peer is asked, as whom, and the upgrade's own lines. No Accept: a
 * kubelet answers 406 when it is asked for JSON here. */
static int make_head(const struct pg_http_peer *peer, const struct pg_http_upgrade *up,
		     const char *user_agent, struct pg_buf *head, struct pg_err *err)
{
	struct pg_http_url url;
	int rc = pg_http_url_parse(peer->base_url, &url, err);
	if (rc < 0)
		return rc;
	rc = pg_buf_addf(head, "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n", up->method,
			 url.prefix, up->path, url.target, user_agent);
	const char *const *lists[] = { peer->headers, up->headers };
	for (size_t i = 0; i < PG_LEN(lists); i++)
		for (const char *const *line = lists[i]; rc == 0 && line && *line; line++)
			rc = pg_buf_addf(head, "%s\r\n", *line);
	if (rc == 0)
		rc = pg_buf_add_str(head, "\r\n");
	return rc < 0 ? pg_fail(err, rc, "write the request to %s", peer->base_url) : 0;
}

static void wake_opener(void *ctx, bool readable, bool writable)
{
	(void)readable;
	(void)writable;
	struct pg_http_conn *c = ctx;
	c->x.wake = true;
}

/* Lets the loop run until the connection may go on. */
static int wait_ready(struct pg_http_conn *c, bool want_write, uint64_t deadline_ms,
		      struct pg_err *err)
{
	c->x.wake = false;
	pg_http_conn_poll(c, want_write, wake_opener, c);
	return pg_http_xfer_wait(&c->x, deadline_ms, err);
}

static int fail_broken(struct pg_http_conn *c, ssize_t rc, struct pg_err *err)
{
	pg_fail(err, (int)rc, "ask %s for an upgrade", c->x.origin);
	return pg_hint(err, PG_CLUSTER, "the connection broke; try again");
}

static int send_head(struct pg_http_conn *c, const struct pg_buf *head, uint64_t deadline_ms,
		     struct pg_err *err)
{
	size_t sent = 0;
	while (sent < head->len) {
		ssize_t n = pg_http_conn_send(c, head->data + sent, head->len - sent);
		if (n >= 0) {
			sent += (size_t)n;
			continue;
		}
		int rc = n == -EAGAIN ? wait_ready(c, true, deadline_ms, err)
				      : fail_broken(c, n, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Reads into `in` until `enough` says so, the peer ends (0) or `in` is full (-ENOBUFS). */
static int read_until(struct pg_http_conn *c, struct pg_buf *in,
		      bool (*enough)(const struct pg_buf *in, const void *ctx), const void *ctx,
		      uint64_t deadline_ms, struct pg_err *err)
{
	while (!enough(in, ctx)) {
		size_t room = pg_min(in->max - in->len, 16 << 10);
		uint8_t *at;
		int rc = room == 0 ? -ENOBUFS : pg_buf_reserve(in, room, &at);
		if (rc < 0)
			return rc;
		ssize_t n = pg_http_conn_recv(c, at, room);
		if (n == 0)
			return 0;
		if (n > 0) {
			pg_buf_added(in, (size_t)n);
			continue;
		}
		rc = n == -EAGAIN ? wait_ready(c, false, deadline_ms, err) : fail_broken(c, n, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static bool has_head(const struct pg_buf *in, const void *ctx)
{
	(void)ctx;
	return pg_http_head_end(in) != NULL;
}

static int fail_head(struct pg_http_conn *c, const char *what, struct pg_err *err)
{
	pg_fail(err, -EPROTO, "%s %s", c->x.origin, what);
	return pg_hint(err, PG_CLUSTER, "is this an API server?");
}

static int read_head(struct pg_http_conn *c, struct pg_http_upgraded *answer, uint64_t deadline_ms,
		     struct pg_err *err)
{
	int rc = read_until(c, &answer->head, has_head, NULL, deadline_ms, err);
	if (rc == -ENOBUFS)
		return fail_head(c, "sent a head of more than 64 KiB", err);
	if (rc < 0)
		return rc;
	const char *end = pg_http_head_end(&answer->head);
	if (!end) {
		pg_fail(err, -ECONNRESET, "%s closed the connection without an answer.",
			c->x.origin);
		return pg_hint(err, PG_CLUSTER, "a server that stops, or a proxy in between");
	}
	size_t head_bytes = (size_t)(end - pg_buf_str(&answer->head));
	rc = pg_buf_add(&answer->rest, end, answer->head.len - head_bytes);
	if (rc < 0)
		return pg_fail(err, rc, "read the answer of %s", c->x.origin);
	answer->head.len = head_bytes;
	answer->head.data[head_bytes] = '\0';
	answer->status = pg_http_head_status(&answer->head);
	return answer->status == 0 ? fail_head(c, "did not answer in HTTP/1.1", err) : 0;
}

struct expected {
	size_t bytes; /* Content-Length; SIZE_MAX when unknown: until the end */
	bool chunked;
};

static bool has_body(const struct pg_buf *in, const void *ctx)
{
	const struct expected *e = ctx;
	return in->len >= e->bytes ||
	       (e->chunked && in->len >= 5 && memcmp(in->data + in->len - 5, "0\r\n\r\n", 5) == 0);
}

/* A refusal's body, as far as it fits and arrives: an incomplete one is no failure. */
static int read_refusal(struct pg_http_conn *c, struct pg_http_upgraded *answer,
			uint64_t deadline_ms, struct pg_err *err)
{
	struct expected e = { .bytes = SIZE_MAX };
	size_t n = 0;
	uint64_t length;
	const char *value = pg_http_head_value(&answer->head, "Content-Length", &n);
	if (value && pg_parse_u64n(value, n, 0, SIZE_MAX, &length) == 0)
		e.bytes = (size_t)length;
	value = pg_http_head_value(&answer->head, "Transfer-Encoding", &n);
	e.chunked = value && n == 7 && strncasecmp(value, "chunked", n) == 0;
	uint64_t body_ms = pg_loop_now_ms(c->x.http->loop) + BODY_MS;
	int rc = read_until(c, &answer->rest, has_body, &e, pg_min_u64(deadline_ms, body_ms), err);
	if (rc == -ECANCELED || rc == -ENOMEM)
		return rc;
	if (e.chunked) {
		pg_http_join_chunks(&answer->rest);
	} else if (answer->rest.len > e.bytes) {
		answer->rest.len = e.bytes;
		answer->rest.data[e.bytes] = '\0';
	}
	return 0;
}

static int upgrade(struct pg_http_conn *c, const struct pg_http_peer *peer,
		   const struct pg_http_upgrade *up, uint64_t deadline_ms,
		   struct pg_http_upgraded *answer, struct pg_err *err)
{
	struct pg_buf head = PG_BUF_INIT(256 << 10);
	int rc = make_head(peer, up, c->x.http->user_agent, &head, err);
	if (rc == 0)
		rc = send_head(c, &head, deadline_ms, err);
	pg_buf_fini(&head);
	if (rc == 0)
		rc = read_head(c, answer, deadline_ms, err);
	if (rc == 0 && answer->status != 101)
		rc = read_refusal(c, answer, deadline_ms, err);
	return rc;
}

/* The TCP and TLS part, and a poll on what came out of it. */
static int connect_only(struct pg_http_conn *c, uint64_t deadline_ms, struct pg_err *err)
{
	pg_http_set_long(&c->x, CURLOPT_CONNECT_ONLY, 1);
	pg_http_set_long(&c->x, CURLOPT_HTTPPROXYTUNNEL, 1);
	pg_http_set_long(&c->x, CURLOPT_FRESH_CONNECT, 1);
	pg_http_read_ahead(&c->x);
	int rc = pg_http_xfer_start(&c->x, err);
	while (rc == 0 && !c->x.done)
		rc = pg_http_xfer_wait(&c->x, deadline_ms, err);
	if (rc < 0)
		return rc;
	if (c->x.result != CURLE_OK)
		return pg_http_xfer_fail(&c->x, err);
	curl_socket_t fd = CURL_SOCKET_BAD;
	curl_easy_getinfo(c->x.easy, CURLINFO_ACTIVESOCKET, &fd);
	struct uv_loop_s *uv = pg_loop_uv(c->x.http->loop);
	rc = fd == CURL_SOCKET_BAD ? -ENOTCONN : uv_poll_init(uv, &c->watch.poll, fd);
	if (rc < 0)
		return pg_fail(err, rc, "watch the connection to %s", c->x.origin);
	uv_idle_init(uv, &c->more);
	c->watch.poll.data = c;
	c->more.data = c;
	c->has_handles = true;
	return 0;
}

int pg_http_conn_open(struct pg_http *h, const struct pg_http_peer *peer,
		      const struct pg_http_upgrade *up, uint64_t timeout_ms,
		      struct pg_http_conn **out, struct pg_http_upgraded *answer,
		      struct pg_err *err)
{
	struct pg_http_upgraded got = { .head = PG_BUF_INIT(HEAD_MAX),
					.rest = PG_BUF_INIT(BODY_MAX) };
	uint64_t deadline_ms = timeout_ms > 0 ? pg_loop_now_ms(h->loop) + timeout_ms : UINT64_MAX;
	struct pg_http_conn *c = pg_calloc(1, sizeof(*c));
	if (!c)
		return pg_fail(err, -ENOMEM, "connect to %s", peer->base_url);
	int rc = pg_http_xfer_init(&c->x, h, peer, up->path, err);
	if (rc == 0)
		rc = connect_only(c, deadline_ms, err);
	if (rc == 0)
		rc = upgrade(c, peer, up, deadline_ms, &got, err);
	if (rc < 0 || got.status != 101) {
		pg_http_conn_close(c);
		c = NULL;
	} else {
		pg_watch(&c->watch, 0, NULL);
		uv_idle_stop(&c->more);
		c->ready = NULL;
	}
	if (rc < 0) {
		pg_buf_fini(&got.head);
		pg_buf_fini(&got.rest);
		return rc;
	}
	*out = c;
	*answer = got;
	return 0;
}
