#pragma once
/* Shared by httpd*.c only: the server from inside. */
#include <microhttpd.h>
#include <stdbool.h>
#include <uv.h>

#include "agent/httpd.h"

/* Request line, headers and the head of the answer. */
enum { HTTPD_CONN_MEMORY = 4 * 1024 };

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

/* httpd.c */

/* Takes the connection out of the list of those that are open. */
void httpd_unlink(struct conn *c);

/* httpd_answer.c */

/* libmicrohttpd's MHD_AccessHandlerCallback: calls it when the headers are there, and again after
 * the (empty) body: only then may an upgrade be answered. */
enum MHD_Result httpd_on_request(void *cls, struct MHD_Connection *connection, const char *url,
				 const char *method, const char *version, const char *upload_data,
				 size_t *upload_data_size, void **con_cls);

/* To be delivered at the end of the turn. */
void httpd_queue_handover(struct pg_httpd *h, struct handover *ho);

/* Outside of libmicrohttpd, so that the callee may do anything, closing us included. */
void httpd_deliver(struct pg_httpd *h);
