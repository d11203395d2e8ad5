#pragma once
#include <curl/curl.h>
#include <stdbool.h>
#include <uv.h>

#include "injector/http.h"

/* What the files of http.h share; nobody else includes this. */

struct pg_http {
	struct pg_loop *loop; /* borrowed */
	CURLM *multi;
	CURLSH *share;    /* TLS sessions: a further lane needs no full handshake */
	uv_timer_t timer; /* libcurl's own time-outs */
	char user_agent[128];
	size_t transfers; /* alive: none is left when the owner ends us */
};

/* One libcurl transfer: a call, a stream, or the making of a connection. */
struct pg_http_xfer {
	struct pg_http *http;
	CURL *easy;
	struct curl_slist *headers;
	struct curl_slist *connect_to;
	char *url;        /* with path and query; owned */
	char origin[288]; /* "https://host:port", for messages */
	char proxy[272];  /* the proxy without its password, or ""; for messages */
	bool has_ca;      /* one of the peer's own, else the system's */
	CURLcode setup;   /* the first option that could not be set */
	CURLcode result;  /* valid once `done` */
	bool started, done;
	bool wake; /* what a straight-line caller waits for: the end, or what the owner sets */
	char said[CURL_ERROR_SIZE]; /* libcurl's own words */
};

/* Where a base URL leads. */
struct pg_http_url {
	bool tls;
	char host[256];   /* IPv6 without brackets */
	char target[272]; /* "host:port", IPv6 in brackets: what Host: says */
	char prefix[512]; /* path prefix, "" or "/..." without a slash at the end */
	char port[8];
};
int pg_http_url_parse(const char *base_url, struct pg_http_url *out, struct pg_err *err);

/* Everything of `peer` that is not a request: address, TLS, proxy, time to connect. On failure
 * there is nothing to undo. */
int pg_http_xfer_init(struct pg_http_xfer *x, struct pg_http *h, const struct pg_http_peer *peer,
		      const char *path, struct pg_err *err);
void pg_http_xfer_fini(struct pg_http_xfer *x);

/* Method, headers and body. */
int pg_http_xfer_request(struct pg_http_xfer *x, const struct pg_http_peer *peer,
			 const struct pg_http_request *rq, struct pg_err *err);

/* Lets TLS read from the socket what is there, instead of each record's head and then its body: two
 * system calls a record otherwise, and an API server sends two records a message. Only for
 * connections whose owner reads all that TLS holds, as no poll sees that
 * (SSL_CTX_set_read_ahead(3)). */
void pg_http_read_ahead(struct pg_http_xfer *x);

/* Whether TLS holds bytes that it has read and that nobody has taken; true also when it does not
 * tell. For connections that are up. */
bool pg_http_tls_holds(const struct pg_http_xfer *x);

/* Options with a remembered failure, so that a row of them is checked once, at the start. */
void pg_http_set_long(struct pg_http_xfer *x, CURLoption option, long value);
void pg_http_set_ptr(struct pg_http_xfer *x, CURLoption option, const void *value);

/* Hands the transfer to the loop; its end sets `done` and `wake`. */
int pg_http_xfer_start(struct pg_http_xfer *x, struct pg_err *err);

/* Waits until `wake`, clears it. 0, -ETIMEDOUT or -ECANCELED (with *err). */
int pg_http_xfer_wait(struct pg_http_xfer *x, uint64_t deadline_ms, struct pg_err *err);

/* What a finished transfer's `result` means; only for results other than CURLE_OK. */
int pg_http_xfer_fail(const struct pg_http_xfer *x, struct pg_err *err);
