/* What is answered to a request, and the sockets of those that become links. */
#include "agent/httpd_impl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"

/* --- handing links over --- */

void httpd_queue_handover(struct pg_httpd *h, struct handover *ho)
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

void httpd_deliver(struct pg_httpd *h)
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
	httpd_unlink(c);
	ho->fd = fcntl(sock, F_DUPFD_CLOEXEC, 0);
	if (ho->fd >= 0 &&
	    (pg_buf_add(&ho->extra, extra_in, extra_in_size) < 0 || pg_sock_prepare(ho->fd) < 0))
		close(pg_take_fd(&ho->fd));
	httpd_queue_handover(c->httpd, ho);
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
				 .extra = PG_BUF_INIT(HTTPD_CONN_MEMORY) };
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

enum MHD_Result httpd_on_request(void *cls, struct MHD_Connection *connection, const char *url,
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
