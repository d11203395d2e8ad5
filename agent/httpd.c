#include "agent/httpd.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "agent/httpd_impl.h"
#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"
#include "proto/io/sock.h"

/* How it works. libmicrohttpd brings no thread and no listening socket: its epoll descriptor is
 * polled by the loop, and what we accept is given to it. Whatever happens (a connection to accept,
 * its descriptor readable, a time that has come) ends in one call of turn(), which lets
 * libmicrohttpd work, hands over what has become a link, and sets the one timer anew. What is
 * answered to a request stands in httpd_answer.c.
 *
 * Connections that are open for requests stand in `open`, oldest first, so the next deadline is
 * always that of the head. A connection is ended by shutdown(2), never by close(2): libmicrohttpd
 * sees the end and frees the connection (on_connection). */

enum {
	ACCEPTS_PER_TURN = 32,
	ACCEPT_PAUSE_MS = 100, /* after EMFILE and its like */
	HANDLES = 3,           /* to be closed before we are freed */
	NEVER = -1,
};

/* --- the list of open connections --- */

void httpd_unlink(struct conn *c)
{
	if (c->link.next == &c->link)
		return;
	c->link.prev->next = c->link.next;
	c->link.next->prev = c->link.prev;
	c->link.prev = c->link.next = &c->link;
	c->httpd->open_count--;
}

static void link_conn(struct conn *c)
{
	struct link *head = &c->httpd->open;
	c->link = (struct link){ .prev = head->prev, .next = head };
	head->prev->next = &c->link;
	head->prev = &c->link;
	c->httpd->open_count++;
}

static struct conn *oldest(struct pg_httpd *h)
{
	return h->open.next == &h->open ? NULL : (struct conn *)h->open.next;
}

static void end_conn(struct conn *c)
{
	shutdown(c->fd, SHUT_RDWR);
	httpd_unlink(c);
}

/* --- connections --- */

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct pg_httpd *h = cls;
	(void)connection;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*socket_context = pg_take_ptr(&h->adding);
		link_conn(*socket_context);
		return;
	}
	struct conn *c = *socket_context;
	httpd_unlink(c);
	if (c->handover)
		httpd_queue_handover(h, c->handover);
	free(c);
}

/* Gives `fd` to libmicrohttpd, which closes it, whatever happens. */
static void add_conn(struct pg_httpd *h, int fd, const struct sockaddr_in *peer, socklen_t len)
{
	struct conn *c = pg_calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	*c = (struct conn){ .fd = fd, .accepted_ms = uv_now(h->timer.loop), .httpd = h };
	if (h->open_count >= PG_HTTPD_CONNS)
		end_conn(oldest(h));
	h->adding = c;
	MHD_add_connection(h->mhd, fd, (const struct sockaddr *)peer, len);
	free(pg_take_ptr(&h->adding)); /* refused before it began */
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void accept_some(struct pg_httpd *h)
{
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);
		int fd = accept4(h->listen_fd, (struct sockaddr *)&peer, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			pg_sock_prepare(fd);
			add_conn(h, fd, &peer, len);
		} else if (is_shortage(errno)) {
			h->accept_after_ms = uv_now(h->timer.loop) + ACCEPT_PAUSE_MS;
			uv_poll_stop(&h->listen_poll);
			return;
		} else if (errno == EAGAIN) {
			return;
		}
	}
}

/* --- the loop --- */

static void on_acceptable(uv_poll_t *poll, int status, int events);

/* What is due by `now`. */
static void keep_time(struct pg_httpd *h, uint64_t now)
{
	struct conn *c;
	while ((c = oldest(h)) && now - c->accepted_ms >= PG_HTTPD_DEADLINE_MS)
		end_conn(c);
	if (h->accept_after_ms && now >= h->accept_after_ms) {
		h->accept_after_ms = 0;
		uv_poll_start(&h->listen_poll, UV_READABLE, on_acceptable);
	}
}

/* When something is due again, or NEVER. */
static int64_t next_due_ms(struct pg_httpd *h, uint64_t now)
{
	uint64_t due = UINT64_MAX;
	MHD_UNSIGNED_LONG_LONG mhd_ms;
	const struct conn *c = oldest(h);
	if (MHD_get_timeout(h->mhd, &mhd_ms) == MHD_YES)
		due = now + mhd_ms;
	if (c)
		due = pg_min_u64(due, c->accepted_ms + PG_HTTPD_DEADLINE_MS);
	if (h->accept_after_ms)
		due = pg_min_u64(due, h->accept_after_ms);
	if (due == UINT64_MAX)
		return NEVER;
	return due > now ? (int64_t)(due - now) : 0;
}

static void on_timer(uv_timer_t *timer);

/* libmicrohttpd lets go of a socket that it has handed over in the turn after, which nothing else
 * would bring about: an upgraded connection could be closed by nobody. */
static void run_mhd(struct pg_httpd *h)
{
	struct handover **handed;
	do {
		handed = h->handed_end;
		MHD_run(h->mhd);
	} while (h->handed_end != handed);
}

static void turn(struct pg_httpd *h)
{
	uint64_t now = uv_now(h->timer.loop);
	keep_time(h, now);
	run_mhd(h);
	httpd_deliver(h);
	if (h->is_closing)
		return;
	int64_t due = next_due_ms(h, now);
	if (due == NEVER)
		uv_timer_stop(&h->timer);
	else
		uv_timer_start(&h->timer, on_timer, (uint64_t)due, 0);
}

static void on_timer(uv_timer_t *timer)
{
	turn(timer->data);
}

static void on_mhd(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	turn(poll->data);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	accept_some(poll->data);
	turn(poll->data);
}

/* --- life --- */

static int open_listener(struct pg_httpd *h, struct pg_err *err)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	pg_auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, SOMAXCONN) < 0 || getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return pg_fail(err, -errno, "listen on 127.0.0.1");
	h->port = ntohs(at.sin_port);
	h->listen_fd = pg_take_fd(&fd);
	return 0;
}

static int start_mhd(struct pg_httpd *h, struct pg_err *err)
{
	h->mhd = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_UPGRADE, 0, NULL, NULL,
		httpd_on_request, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
		MHD_OPTION_CONNECTION_LIMIT, 2u * PG_HTTPD_CONNS, /* those being ended included */
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTPD_CONN_MEMORY, MHD_OPTION_END);
	return h->mhd ? 0 : pg_fail(err, -ENOMEM, "start the HTTP server");
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct pg_httpd *h = handle->data;
	if (--h->handles == 0)
		free(h);
}

static int start_handles(struct pg_httpd *h, uv_loop_t *uv, struct pg_err *err)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	h->listen_poll.data = h->mhd_poll.data = h->timer.data = h;
	uv_timer_init(uv, &h->timer);
	h->handles++;
	int rc = uv_poll_init(uv, &h->listen_poll, h->listen_fd);
	if (rc == 0) {
		h->handles++;
		rc = uv_poll_init(uv, &h->mhd_poll, info->epoll_fd);
	}
	if (rc < 0)
		return pg_fail(err, rc, "watch the HTTP server");
	h->handles++;
	assert(h->handles == HANDLES);
	uv_poll_start(&h->listen_poll, UV_READABLE, on_acceptable);
	uv_poll_start(&h->mhd_poll, UV_READABLE, on_mhd);
	return 0;
}

int pg_httpd_new(struct pg_loop *loop, pg_httpd_handler *handler, void *ctx, struct pg_httpd **out,
		 struct pg_err *err)
{
	struct pg_httpd *h = pg_calloc(1, sizeof(*h));
	if (!h)
		return pg_fail(err, -ENOMEM, "start the HTTP server");
	h->handler = handler;
	h->ctx = ctx;
	h->listen_fd = -1;
	h->open.prev = h->open.next = &h->open;
	h->handed_end = &h->handed;
	int rc = open_listener(h, err);
	if (rc == 0)
		rc = start_mhd(h, err);
	if (rc == 0)
		rc = start_handles(h, pg_loop_uv(loop), err);
	if (rc < 0)
		pg_httpd_close(h);
	else
		*out = h;
	return rc;
}

uint16_t pg_httpd_port(const struct pg_httpd *h)
{
	return h->port;
}

void pg_httpd_close(struct pg_httpd *h)
{
	uv_handle_t *handles[HANDLES] = { (uv_handle_t *)&h->timer, (uv_handle_t *)&h->listen_poll,
					  (uv_handle_t *)&h->mhd_poll };
	assert(!h->is_closing);
	h->is_closing = true;
	for (int i = 0; i < HANDLES && i < h->handles; i++)
		uv_close(handles[i], on_handle_closed);
	if (h->mhd) {
		MHD_run(h->mhd); /* frees connections that have been handed over */
		MHD_stop_daemon(h->mhd);
	}
	httpd_deliver(h);
	if (h->listen_fd >= 0)
		close(h->listen_fd);
	if (h->handles == 0)
		free(h);
}
