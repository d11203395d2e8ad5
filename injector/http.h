#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/io/loop.h"

/* HTTP and TLS on the loop: the one door to libcurl. Three ways to use it: a call (request and
 * whole answer), a stream (an answer line by line, for watches and logs), and a raw connection
 * (TLS and proxies done, an upgraded protocol on top). Straight-line: calls wait in
 * pg_loop_wait(), and an interrupt ends them with -ECANCELED. */
struct pg_http;

struct pg_http *pg_http_new(struct pg_loop *loop, struct pg_err *err);
void pg_http_free(struct pg_http *h);
struct pg_loop *pg_http_loop(const struct pg_http *h);

/* Where to, and as whom. Strings are borrowed for the length of a call. Anything may be NULL but
 * base_url. PEM texts are used from memory. */
struct pg_http_peer {
	const char *base_url; /* "https://host:port/prefix", no slash at the end */
	const char *ca_pem;   /* only this CA is trusted; NULL: the system's */
	const char *cert_pem, *key_pem;
	bool insecure;
	const char *tls_server_name; /* for SNI and verification instead of the host */
	const char *proxy_url; /* "": none, also not from the environment; NULL: environment */
	const char *const
		*headers; /* NULL-terminated "Name: value": Authorization, Impersonate-* */
};

struct pg_http_request {
	const char *method;       /* "GET", "POST", "PATCH", ... */
	const char *path;         /* with its query, begins with '/' */
	const char *content_type; /* of the body */
	const char *body;         /* NULL: none */
	uint64_t timeout_ms;      /* in all; 0: none */
};

struct pg_http_answer {
	int status;             /* HTTP status */
	char *content_type;     /* owned, may be NULL */
	uint64_t retry_after_s; /* of the header, 0 when absent */
	char *warning;          /* texts of Warning: 299 headers, one a line; owned, may be NULL */
	struct pg_buf body;     /* at most PG_HTTP_BODY_MAX */
};
enum { PG_HTTP_BODY_MAX = 32 << 20 };

/* 0 with *out filled (any HTTP status), or a negative errno: no connection (-ECONNREFUSED,
 * -EHOSTUNREACH, ...), bad certificate (-EKEYREJECTED), -ETIMEDOUT, -ECANCELED; the message says
 * which, whose is PG_CLUSTER, and the hint what to look at. */
int pg_http_call(struct pg_http *h, const struct pg_http_peer *peer,
		 const struct pg_http_request *rq, struct pg_http_answer *out, struct pg_err *err);
void pg_http_answer_fini(struct pg_http_answer *a);

/* An answer that goes on. Opening waits for the status line; a status other than 200 is returned
 * in *status_out with up to 64 KiB of its body in `refusal`, and no stream (*out NULL), return 0.
 */
struct pg_http_stream;
int pg_http_stream_open(struct pg_http *h, const struct pg_http_peer *peer,
			const struct pg_http_request *rq, struct pg_http_stream **out,
			int *status_out, struct pg_buf *refusal, struct pg_err *err);
/* The next line without its newline, lent until the next call: 1; 0 at the orderly end;
 * -ETIMEDOUT at the deadline (the stream lives on); another negative errno: broken. */
int pg_http_stream_line(struct pg_http_stream *s, uint64_t deadline_ms, const char **line,
			struct pg_err *err);
void pg_http_stream_close(struct pg_http_stream *s);

/* A connection for an upgraded protocol. Connects (TLS, CONNECT through a proxy), sends `head`
 * (a complete HTTP/1.1 request head made by the caller with pg_http_conn_head()), and reads the
 * answer's head. */
struct pg_http_conn;
struct pg_http_upgrade {
	const char *method, *path;
	const char *const *headers; /* NULL-terminated "Name: value" of the upgrade itself */
};
struct pg_http_upgraded {
	int status;         /* 101, or what the server said instead */
	struct pg_buf head; /* the answer's head, for pg_http_head_value() */
	struct pg_buf rest; /* 101: bytes of the stream after the head; else up to 64 KiB of body */
};
int pg_http_conn_open(struct pg_http *h, const struct pg_http_peer *peer,
		      const struct pg_http_upgrade *up, uint64_t timeout_ms,
		      struct pg_http_conn **out, struct pg_http_upgraded *answer,
		      struct pg_err *err);
/* The value of a header in `head`, lent, its length in *n; NULL when absent. */
const char *pg_http_head_value(const struct pg_buf *head, const char *name, size_t *n);

/* Nonblocking. Bytes read, 0 at the end, -EAGAIN, or another negative errno. */
ssize_t pg_http_conn_recv(struct pg_http_conn *c, void *p, size_t n);
/* Whether bytes are known to wait behind those of the last pg_http_conn_recv(), in TLS. */
bool pg_http_conn_holds_more(const struct pg_http_conn *c);
/* Bytes taken, or -EAGAIN: then offer the same pointer and length again (libcurl's rule). */
ssize_t pg_http_conn_send(struct pg_http_conn *c, const void *p, size_t n);
/* Calls back when the connection may be readable or writable. `want_write` false saves turns.
 * Bytes that TLS holds count as readable. */
void pg_http_conn_poll(struct pg_http_conn *c, bool want_write,
		       void (*ready)(void *ctx, bool readable, bool writable), void *ctx);
void pg_http_conn_close(struct pg_http_conn *c);
