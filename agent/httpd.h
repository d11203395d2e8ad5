#pragma once
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/io/loop.h"

/* The control API's HTTP server on the loop: the one door to libmicrohttpd. It binds 127.0.0.1 on
 * a random port, accepts by itself, and ends connections that have not become a link after 3 s in
 * all; the oldest goes when PG_HTTPD_CONNS are open. So 1,000 strangers a second leave everybody
 * one second to prove himself, and what all of them can make us hold is 6 MiB. Knows nothing of
 * what the routes say. */
struct pg_httpd;

enum {
	PG_HTTPD_CONNS = 1024,
	PG_HTTPD_DEADLINE_MS = 3000,
	PG_HTTPD_BODY_MAX = 1 << 20, /* of an answer */
};

struct pg_request {
	const char *method, *path; /* borrowed; the path without its query */
	const char *(*header)(const struct pg_request *rq, const char *name); /* NULL: absent */
	void *impl;
};

struct pg_answer {
	unsigned status;          /* HTTP status; 101 with `upgraded` set hands the socket over */
	const char *content_type; /* static text; "application/json" when NULL */
	const char *header_name, *header_value; /* one more header, or NULL; copied */
	struct pg_buf body;                     /* taken by the server */
	/* For 101: called once, outside the handler, with the connected socket (nonblocking, now
	 * the callee's) and the bytes that came after the request (borrowed); or with -1 when the
	 * connection ended before. `upgrade_to` is the protocol's name in "Upgrade", static. */
	void (*upgraded)(void *ctx, int fd, const uint8_t *extra, size_t n);
	void *upgraded_ctx;
	const char *upgrade_to;
};

/* Answers one request; called on the loop. Bodies of requests are not read (none has one). */
typedef void pg_httpd_handler(void *ctx, const struct pg_request *rq, struct pg_answer *answer);

int pg_httpd_new(struct pg_loop *loop, pg_httpd_handler *handler, void *ctx, struct pg_httpd **out,
		 struct pg_err *err);
uint16_t pg_httpd_port(const struct pg_httpd *h);

/* Stops accepting, ends what is open, frees after the loop's handles have closed. Not from inside
 * the handler; from inside `upgraded` it is legal. */
void pg_httpd_close(struct pg_httpd *h);
