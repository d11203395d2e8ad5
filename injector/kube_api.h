#pragma once
#include <jansson.h>

#include "injector/http.h"
#include "injector/kube_auth.h"
#include "injector/kube_status.h"
#include "proto/base/log.h"

/* Calls of the Kubernetes API: one request, its JSON answer, with retries, renewed credentials and
 * refusals in plain words (wire reference: API server errors). Straight-line. */
struct pg_kube_api {
	struct pg_loop *loop; /* all borrowed */
	struct pg_http *http;
	struct pg_kube_auth *auth;
	const struct pg_log *log;
	uint64_t request_ms;   /* for one request; 0: PG_KUBE_REQUEST_MS */
	bool has_answered;     /* the server is there: a refused connection may be passing */
	char waiting_for[256]; /* what a person would say we wait for, "" between calls */
};

enum {
	PG_KUBE_REQUEST_MS = 30000,
	PG_KUBE_RETRY_MS = 15000, /* how long a busy server is asked again */
};

struct pg_kube_request {
	struct pg_kube_act act; /* for messages, and what the person is told we wait for */
	const char *method, *path;
	const char *content_type, *body; /* or NULL */
	uint64_t deadline_ms;            /* of pg_loop_now_ms(); 0: PG_KUBE_RETRY_MS from now */
};

/* 0 with the parsed answer in *out (the caller's; out may be NULL), or what pg_kube_refused() and
 * pg_http_call() return, -ECANCELED and -ETIMEDOUT among it. `refusal`, which may be NULL, gets
 * the server's own words; its http is 0 when the server did not answer. */
int pg_kube_call(struct pg_kube_api *api, const struct pg_kube_request *rq, json_t **out,
		 struct pg_kube_status *refusal, struct pg_err *err);

/* Opens an answer that goes on (a watch, a log), once, with renewed credentials if need be: 0 with
 * *out, or as pg_kube_call(). */
int pg_kube_open(struct pg_kube_api *api, const struct pg_kube_request *rq,
		 struct pg_http_stream **out, struct pg_kube_status *refusal, struct pg_err *err);

/* Lists every page of a collection at `path` (with its query, if any) and hands each item to
 * `item`; the collection's resourceVersion goes to `rv` of `room` bytes (NULL, 0: not wanted). A
 * page that expired meanwhile starts over, after reset(). */
struct pg_kube_list {
	void (*reset)(void *ctx);
	void (*item)(void *ctx, json_t *item); /* borrowed: json_incref() to keep it */
	void *ctx;
};
int pg_kube_each(struct pg_kube_api *api, const struct pg_kube_request *rq,
		 const struct pg_kube_list *list, char *rv, size_t room, struct pg_err *err);

/* Says what is being waited for from here on; NULL: nothing. Calls made meanwhile leave it alone.
 */
void pg_kube_waits(struct pg_kube_api *api, const char *fmt, ...) PG_PRINTF(2, 3);

/* Sleeps while the loop runs: 0, or -ECANCELED. */
int pg_kube_sleep(struct pg_kube_api *api, uint64_t ms);

/* How long to wait before try number `attempt` (0: the first repetition): what the server says, if
 * anything, else 0.5 s doubling to 15 s; with 20 % of jitter either way by `dice`, any 32 random
 * bits. Pure. */
uint64_t pg_kube_backoff_ms(unsigned attempt, uint64_t server_says_s, uint32_t dice);

/* Adds `text` percent-encoded as one segment or value (RFC 3986 2.3): 0, -ENOBUFS, -ENOMEM. */
int pg_kube_escape(struct pg_buf *out, const char *text);
