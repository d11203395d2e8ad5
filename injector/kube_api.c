#include "injector/kube_api.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "injector/kube_json.h"
#include "proto/base/num.h"
#include "proto/wire/auth.h"

enum { PAGE = 500, STARTS_MAX = 5, TOKEN_MAX = 2048 };

uint64_t pg_kube_backoff_ms(unsigned attempt, uint64_t server_says_s, uint32_t dice)
{
	uint64_t base = attempt < 5 ? 500ull << attempt : 15000;
	if (server_says_s > 0)
		base = pg_min_u64(server_says_s, 3600) * 1000;
	uint64_t spread = base * 2 / 5; /* from 20 % less to 20 % more */
	uint64_t ms = base - base / 5 + spread * dice / UINT32_MAX;
	/* A server that names a time means it: never come earlier. */
	return server_says_s > 0 && ms < base ? base : ms;
}

int pg_kube_escape(struct pg_buf *out, const char *text)
{
	int rc = 0;
	for (const char *s = text; *s && rc == 0; s++) {
		unsigned char c = (unsigned char)*s;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || strchr("-._~", c) != NULL;
		rc = plain ? pg_buf_add(out, s, 1) : pg_buf_addf(out, "%%%02X", c);
	}
	return rc;
}

void pg_kube_waits(struct pg_kube_api *api, const char *fmt, ...)
{
	api->waiting_for[0] = '\0';
	if (!fmt)
		return;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(api->waiting_for, sizeof(api->waiting_for), fmt, ap);
	va_end(ap);
}

int pg_kube_sleep(struct pg_kube_api *api, uint64_t ms)
{
	bool never = false;
	int rc = pg_loop_wait(api->loop, &never, pg_loop_now_ms(api->loop) + ms);
	return rc == -ETIMEDOUT ? 0 : rc;
}

static uint32_t dice(void)
{
	uint32_t bits;
	pg_random(&bits, sizeof(bits));
	return bits;
}

/* One request, whatever comes of it. */
static int ask(struct pg_kube_api *api, const struct pg_kube_request *rq, uint64_t left_ms,
	       struct pg_http_answer *out, struct pg_err *err)
{
	const struct pg_http_peer *peer;
	int rc = pg_kube_auth_peer(api->auth, &peer, err);
	if (rc < 0)
		return rc;
	struct pg_http_request h = {
		.method = rq->method,
		.path = rq->path,
		.content_type = rq->content_type,
		.body = rq->body,
		.timeout_ms =
			pg_min_u64(api->request_ms ? api->request_ms : PG_KUBE_REQUEST_MS, left_ms),
	};
	rc = pg_http_call(api->http, peer, &h, out, err);
	return rc < 0 ? pg_wrap(err, "%s", rq->act.what) : 0;
}

/* Kubernetes' own warnings (deprecated fields and the like), one a line. */
static void log_warnings(struct pg_kube_api *api, const char *warning)
{
	while (warning && *warning) {
		size_t n = strcspn(warning, "\n");
		pg_log(api->log, PG_WARN, "Warning: %.*s", (int)pg_min(n, 512), warning);
		warning += n + (warning[n] == '\n');
	}
}

/* What a try came to. */
enum outcome { ANSWERED, REFUSED, AGAIN };

static enum outcome judge(struct pg_kube_api *api, const struct pg_http_answer *a, bool *renewed,
			  struct pg_kube_status *st)
{
	api->has_answered = true;
	log_warnings(api, a->warning);
	if (a->status >= 200 && a->status < 300)
		return ANSWERED;
	pg_kube_status_parse(a->status, pg_buf_str(&a->body), a->body.len, st);
	if (a->retry_after_s > 0)
		st->retry_after_s = a->retry_after_s;
	if (a->status == 401 && !*renewed) {
		*renewed = true;
		return pg_kube_auth_refused(api->auth) ? AGAIN : REFUSED;
	}
	return pg_kube_is_passing(st) ? AGAIN : REFUSED;
}

/* True when a failed connection may come back by itself: the server was there a moment ago. */
static bool is_passing_loss(const struct pg_kube_api *api, int rc)
{
	return api->has_answered && (rc == -ECONNREFUSED || rc == -ECONNRESET || rc == -EPIPE ||
				     rc == -ENETUNREACH || rc == -EHOSTUNREACH || rc == -EIO);
}

/* Repeats `rq` until it is answered, refused for good, or its time is over. */
static int ask_until(struct pg_kube_api *api, const struct pg_kube_request *rq, uint64_t deadline,
		     struct pg_http_answer *a, struct pg_kube_status *st, struct pg_err *err)
{
	bool renewed = false;
	for (unsigned attempt = 0;; attempt++) {
		uint64_t now = pg_loop_now_ms(api->loop);
		st->http = 0;
		st->retry_after_s = 0;
		int rc = ask(api, rq, deadline > now ? deadline - now : 1, a, err);
		enum outcome next = rc == 0                    ? judge(api, a, &renewed, st)
				    : is_passing_loss(api, rc) ? AGAIN
							       : REFUSED;
		if (next == ANSWERED)
			return 0;
		if (rc == 0)
			rc = pg_kube_refused(st, &rq->act, err);
		uint64_t pause = st->http == 401
					 ? 0
					 : pg_kube_backoff_ms(attempt, st->retry_after_s, dice());
		now = pg_loop_now_ms(api->loop);
		if (next == REFUSED || now + pause >= deadline)
			return rc;
		pg_log(api->log, PG_DEBUG, "%s; trying again in %llu ms", err->what,
		       (unsigned long long)pause);
		pg_http_answer_fini(a);
		*a = (struct pg_http_answer){ .status = 0 };
		rc = pg_kube_sleep(api, pause);
		if (rc < 0)
			return pg_fail(err, rc, "%s", rq->act.what);
	}
}

int pg_kube_call(struct pg_kube_api *api, const struct pg_kube_request *rq, json_t **out,
		 struct pg_kube_status *refusal, struct pg_err *err)
{
	struct pg_http_answer a = { .status = 0 };
	struct pg_kube_status st = { .http = 0 };
	struct pg_err inner = { .code = 0 };
	uint64_t deadline =
		rq->deadline_ms ? rq->deadline_ms : pg_loop_now_ms(api->loop) + PG_KUBE_RETRY_MS;
	bool is_outermost = !api->waiting_for[0]; /* else a longer wait has its own words */
	if (is_outermost)
		pg_kube_waits(api, "the API server: %s", rq->act.what);
	int rc = ask_until(api, rq, deadline, &a, &st, &inner);
	if (rc == 0 && out) {
		*out = pg_json_parse(pg_buf_str(&a.body), a.body.len, &inner);
		if (!*out) {
			pg_wrap(&inner, "%s", rq->act.what);
			rc = pg_hint(&inner, PG_CLUSTER,
				     "check the server's address in the "
				     "kubeconfig");
		}
	}
	if (is_outermost)
		pg_kube_waits(api, NULL);
	pg_http_answer_fini(&a);
	if (refusal)
		*refusal = st;
	if (rc < 0 && err)
		*err = inner;
	return rc;
}

int pg_kube_open(struct pg_kube_api *api, const struct pg_kube_request *rq,
		 struct pg_http_stream **out, struct pg_kube_status *refusal, struct pg_err *err)
{
	for (bool renewed = false;;) {
		const struct pg_http_peer *peer;
		struct pg_buf body = PG_BUF_INIT(64 << 10);
		uint64_t now = pg_loop_now_ms(api->loop);
		int status = 0;
		*refusal = (struct pg_kube_status){ .http = 0 };
		int rc = pg_kube_auth_peer(api->auth, &peer, err);
		if (rc < 0)
			return rc;
		struct pg_http_request h = {
			.method = rq->method,
			.path = rq->path,
			.timeout_ms = rq->deadline_ms > now ? rq->deadline_ms - now : 1,
		};
		rc = pg_http_stream_open(api->http, peer, &h, out, &status, &body, err);
		if (rc < 0 || *out) {
			pg_buf_fini(&body);
			return rc < 0 ? pg_wrap(err, "%s", rq->act.what) : 0;
		}
		pg_kube_status_parse(status, pg_buf_str(&body), body.len, refusal);
		pg_buf_fini(&body);
		if (status != 401 || renewed || !pg_kube_auth_refused(api->auth))
			return pg_kube_refused(refusal, &rq->act, err);
		renewed = true;
	}
}

/* The path of the next page. */
static int page_path(const struct pg_kube_request *rq, const char *next, struct pg_buf *out)
{
	int rc =
		pg_buf_addf(out, "%s%climit=%d", rq->path, strchr(rq->path, '?') ? '&' : '?', PAGE);
	if (rc == 0 && next[0])
		rc = pg_buf_add_str(out, "&continue=");
	return rc == 0 && next[0] ? pg_kube_escape(out, next) : rc;
}

/* Gets one page, hands its items on, and says in `next` where the list goes on. */
static int one_page(struct pg_kube_api *api, const struct pg_kube_request *rq,
		    const struct pg_kube_list *list, char *next, char *rv, size_t room,
		    struct pg_err *err)
{
	struct pg_buf path = PG_BUF_INIT(8192);
	struct pg_kube_request page = *rq;
	json_t *body = NULL;
	int rc = page_path(rq, next, &path);
	if (rc < 0) {
		pg_buf_fini(&path);
		return pg_fail(err, rc, "%s", rq->act.what);
	}
	page.path = pg_buf_str(&path);
	rc = pg_kube_call(api, &page, &body, NULL, err);
	pg_buf_fini(&path);
	if (rc < 0)
		return rc;
	const json_t *items = pg_json_at(body, "items");
	for (size_t i = 0; i < json_array_size(items); i++)
		list->item(list->ctx, json_array_get(items, i));
	snprintf(rv, room, "%s", pg_json_str(body, "metadata.resourceVersion"));
	snprintf(next, TOKEN_MAX, "%s", pg_json_str(body, "metadata.continue"));
	json_decref(body);
	return 0;
}

int pg_kube_each(struct pg_kube_api *api, const struct pg_kube_request *rq,
		 const struct pg_kube_list *list, char *rv, size_t room, struct pg_err *err)
{
	int rc = 0;
	for (int starts = 0; starts < STARTS_MAX; starts++) {
		char next[TOKEN_MAX] = "";
		list->reset(list->ctx);
		do
			rc = one_page(api, rq, list, next, rv, room, err);
		while (rc == 0 && next[0]);
		if (rc != -ESTALE) /* else the pages' version is gone: again, from the start */
			break;
	}
	return rc;
}
