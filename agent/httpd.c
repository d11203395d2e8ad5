#include "agent/httpd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"
#include "proto/io/sock.h"

/* How it works. libmicrohttpd brings no thread and no listening socket: its epoll descriptor is
 * polled by the loop, and what we accept is given to it. Whatever happens (a connection to accept,
 * its descriptor readable, a time that has come) ends in one call of turn(), which lets
 * libmicrohttpd work, hands over what has become a link, and sets the one timer anew.
 *
 * Connections that are open for requests stand in `open`, oldest first, so the next deadline is
 * always that of the head. A connection is ended by shutdown(2), never by close(2): libmicrohttpd
 * sees the end and frees the connection (on_connection). */

enum {
	ACCEPTS_PER_TURN = 32,
	ACCEPT_PAUSE_MS = 100,  /* after EMFILE and its like */
	CONN_MEMORY = 4 * 1024, /* request line, headers and the head of the answer */
	HANDLES = 3,            /* to be closed before we are freed */
	NEVER = -1,
};

/* Neighbours in a list whose head stands in for the ends. */
struct link {
	struct link *prev, *next;
};

/* A connection that is on its way to become a link, or failed to. */
struct handover {
	struct handover *next;
	void (*upgraded)(void *ctx, int fd, const uint8_t *extra, size_t n);
	void *ctx;
	int fd; /* -1 until it has been upgraded */
	struct pg_buf extra;
};

struct conn {
	struct link link; /* first: in h->open, or alone once it has been ended */
	int fd;           /* libmicrohttpd's */
	uint64_t accepted_ms;
	struct pg_httpd *httpd;
	struct handover *handover; /* from the answer 101 until the upgrade */
};

struct pg_httpd {
	uv_poll_t listen_poll, mhd_poll;
	uv_timer_t timer;
	struct MHD_Daemon *mhd;
	pg_httpd_handler *handler;
	void *ctx;
	struct link open; /* of struct conn, oldest first */
	unsigned open_count;
	struct conn *adding;                   /* given to MHD_add_connection() right now */
	struct handover *handed, **handed_end; /* to be delivered at the end of the turn */
	uint64_t accept_after_ms;              /* accepting is paused until then; 0: it is not */
	int listen_fd;
	uint16_t port;
	int handles; /* not closed yet */
	bool is_closing;
};

/* --- the list of open connections --- */

static void unlink_conn(struct conn *c)
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
	unlink_conn(c);
}

/* --- handing links over --- */

static void queue_handover(struct pg_httpd *h, struct handover *ho)
{
	ho->next = NULL;
	*h->handed_end = ho;
	h->handed_end = &ho->next;
}

static void deliver_one(struct handover *ho, bool is_closing)
{
	if (is_closing && ho->fd >= 0)
		close(pg_take_fd(&ho->fd));
	ho->upgraded(ho->ctx, ho->fd, ho->extra.data, ho->extra.len);
	pg_buf_fini(&ho->extra);
	free(ho);
}

/* Outside of libmicrohttpd, so that the callee may do anything, closing us included. */
static void deliver(struct pg_httpd *h)
{
	while (h->handed) {
		struct handover *ho = h->handed;
		h->handed = ho->next;
		if (!h->handed)
			h->handed_end = &h->handed;
		deliver_one(ho, h->is_closing);
	}
}

/* Called by libmicrohttpd when 101 has been sent. We keep a duplicate of the socket, it may close
 * its own. */
static void on_upgrade(void *cls, struct MHD_Connection *connection, void *con_cls,
		       const char *extra_in, size_t extra_in_size, MHD_socket sock,
		       struct MHD_UpgradeResponseHandle *urh)
{
	struct conn *c = cls;
	struct handover *ho = pg_take_ptr(&c->handover);
	(void)connection;
	(void)con_cls;
	unlink_conn(c);
	ho->fd = fcntl(sock, F_DUPFD_CLOEXEC, 0);
	if (ho->fd >= 0 &&
	    (pg_buf_add(&ho->extra, extra_in, extra_in_size) < 0 || pg_sock_prepare(ho->fd) < 0))
		close(pg_take_fd(&ho->fd));
	queue_handover(c->httpd, ho);
	MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE);
}

/* --- requests --- */

static const char *request_header(const struct pg_request *rq, const char *name)
{
	return MHD_lookup_connection_value(rq->impl, MHD_HEADER_KIND, name);
}

static struct MHD_Response *upgrade_response(struct conn *c, const struct pg_answer *a)
{
	struct handover *ho = pg_calloc(1, sizeof(*ho));
	struct MHD_Response *resp = ho ? MHD_create_response_for_upgrade(on_upgrade, c) : NULL;
	if (!resp ||
	    MHD_add_response_header(resp, MHD_HTTP_HEADER_UPGRADE, a->upgrade_to) != MHD_YES) {
		if (resp)
			MHD_destroy_response(resp);
		free(ho);
		return NULL;
	}
	*ho = (struct handover){ .upgraded = a->upgraded,
				 .ctx = a->upgraded_ctx,
				 .fd = -1,
				 .extra = PG_BUF_INIT(CONN_MEMORY) };
	c->handover = ho;
	return resp;
}

static struct MHD_Response *plain_response(struct pg_answer *a)
{
	size_t n = a->body.len;
	void *body = pg_take_ptr(&a->body.data);
	pg_buf_fini(&a->body);
	struct MHD_Response *resp = MHD_create_response_from_buffer(n, body, MHD_RESPMEM_MUST_FREE);
	if (!resp) {
		free(body);
		return NULL;
	}
	const char *type = a->content_type ? a->content_type : "application/json";
	MHD_add_response_header(resp, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(resp, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	return resp;
}

/* Sends `a`, of which nothing is left to the caller. MHD_NO ends the connection. */
static enum MHD_Result send_answer(struct conn *c, struct MHD_Connection *connection,
				   struct pg_answer *a)
{
	struct MHD_Response *resp = a->upgraded ? upgrade_response(c, a) : plain_response(a);
	if (!resp) {
		if (a->upgraded)
			a->upgraded(a->upgraded_ctx, -1, NULL, 0);
		return MHD_NO;
	}
	if (a->header_name)
		MHD_add_response_header(resp, a->header_name, a->header_value);
	enum MHD_Result sent = MHD_queue_response(connection, a->status, resp);
	MHD_destroy_response(resp);
	return sent;
}

static bool has_body(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_CONTENT_LENGTH);
	return (length && strcmp(length, "0") != 0) ||
	       MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
					   MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

/* libmicrohttpd calls this when the headers are there, and again after the (empty) body: only then
 * may an upgrade be answered. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload_data,
				  size_t *upload_data_size, void **con_cls)
{
	struct pg_httpd *h = cls;
	(void)version;
	(void)upload_data;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct conn *c = info->socket_context;
	struct pg_answer answer = { .status = MHD_HTTP_CONTENT_TOO_LARGE,
				    .body = PG_BUF_INIT(PG_HTTPD_BODY_MAX) };
	if (h->is_closing || *upload_data_size != 0)
		return MHD_NO;
	if (has_body(connection))
		return send_answer(c, connection, &answer);
	if (!*con_cls) {
		*con_cls = c;
		return MHD_YES;
	}
	struct pg_request rq = {
		.method = method, .path = url, .header = request_header, .impl = connection
	};
	answer.status = MHD_HTTP_INTERNAL_SERVER_ERROR;
	h->handler(h->ctx, &rq, &answer);
	return send_answer(c, connection, &answer);
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
	unlink_conn(c);
	if (c->handover)
		queue_handover(h, c->handover);
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
	deliver(h);
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
		on_request, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
		MHD_OPTION_CONNECTION_LIMIT, 2u * PG_HTTPD_CONNS, /* those being ended included */
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONN_MEMORY, MHD_OPTION_END);
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
	deliver(h);
	if (h->listen_fd >= 0)
		close(h->listen_fd);
	if (h->handles == 0)
		free(h);
}
