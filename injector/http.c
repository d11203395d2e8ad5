#include "injector/http.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "injector/http_priv.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"

/* libcurl tells us which sockets to watch and when to wake it (curl_multi_socket_action(3)); libuv
 * watches. Nothing here blocks: names are resolved in libcurl's own thread. */

static void take_results(struct pg_http *h)
{
	CURLMsg *msg;
	int left;
	while ((msg = curl_multi_info_read(h->multi, &left))) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		struct pg_http_xfer *x = NULL;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &x);
		x->result = msg->data.result;
		x->done = true;
		x->wake = true;
	}
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct pg_http *h = poll->data;
	curl_socket_t fd = CURL_SOCKET_BAD;
	int running, flags = 0;
	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	if (uv_fileno((uv_handle_t *)poll, &fd) < 0)
		return;
	curl_multi_socket_action(h->multi, fd, flags, &running);
	take_results(h);
}

static void on_timer(uv_timer_t *timer)
{
	struct pg_http *h = timer->data;
	int running;
	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_results(h);
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

/* CURLMOPT_SOCKETFUNCTION: `poll` is what we assigned to this socket, NULL at first. */
static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *assigned)
{
	(void)easy;
	struct pg_http *h = ctx;
	uv_poll_t *poll = assigned;
	if (what == CURL_POLL_REMOVE) {
		if (poll)
			uv_close((uv_handle_t *)poll, on_poll_closed);
		curl_multi_assign(h->multi, fd, NULL);
		return 0;
	}
	if (!poll) {
		poll = pg_calloc(1, sizeof(*poll));
		if (!poll)
			return -1;
		if (uv_poll_init(pg_loop_uv(h->loop), poll, fd) < 0) {
			free(poll);
			return -1;
		}
		poll->data = h;
		curl_multi_assign(h->multi, fd, poll);
	}
	int events = what == CURL_POLL_INOUT ? UV_READABLE | UV_WRITABLE
		     : what == CURL_POLL_OUT ? UV_WRITABLE
					     : UV_READABLE;
	return uv_poll_start(poll, events, on_socket) < 0 ? -1 : 0;
}

/* CURLMOPT_TIMERFUNCTION: libcurl wants to be called in `timeout_ms`; -1: not at all. */
static int set_timer(CURLM *multi, long timeout_ms, void *ctx)
{
	(void)multi;
	struct pg_http *h = ctx;
	if (timeout_ms < 0)
		uv_timer_stop(&h->timer);
	else
		uv_timer_start(&h->timer, on_timer, (uint64_t)timeout_ms, 0);
	return 0;
}

/* "podgraft/1.2.3 (linux/amd64)", with the names that Kubernetes uses. */
static void name_user_agent(char *out, size_t n)
{
	struct utsname u = { .sysname = "" };
	uname(&u);
	const char *os = strcmp(u.sysname, "Linux") == 0    ? "linux"
			 : strcmp(u.sysname, "Darwin") == 0 ? "darwin"
							    : "unknown";
	const char *arch = strcmp(u.machine, "x86_64") == 0    ? "amd64"
			   : strcmp(u.machine, "aarch64") == 0 ? "arm64"
							       : u.machine;
	snprintf(out, n, "podgraft/%s (%s/%.32s)", PG_VERSION, os, arch);
}

struct pg_http *pg_http_new(struct pg_loop *loop, struct pg_err *err)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		pg_fail(err, -ENOMEM, "start the HTTP library");
		return NULL;
	}
	struct pg_http *h = pg_calloc(1, sizeof(*h));
	CURLM *multi = h ? curl_multi_init() : NULL;
	if (!multi) {
		free(h);
		curl_global_cleanup();
		pg_fail(err, -ENOMEM, "start the HTTP library");
		return NULL;
	}
	h->loop = loop;
	h->multi = multi;
	h->share = curl_share_init();
	curl_share_setopt(h->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	name_user_agent(h->user_agent, sizeof(h->user_agent));
	uv_timer_init(pg_loop_uv(loop), &h->timer);
	h->timer.data = h;
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, h);
	return h;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void pg_http_free(struct pg_http *h)
{
	if (!h)
		return;
	assert(h->transfers == 0);
	curl_multi_cleanup(h->multi);
	curl_share_cleanup(h->share);
	curl_global_cleanup();
	uv_close((uv_handle_t *)&h->timer, on_timer_closed);
}

struct pg_loop *pg_http_loop(const struct pg_http *h)
{
	return h->loop;
}

/* The texts of all "Warning: 299 - "text"" headers, one a line; NULL when there is none. */
static char *collect_warnings(CURL *easy)
{
	struct pg_buf all = PG_BUF_INIT(8 << 10);
	struct curl_header *header;
	for (size_t i = 0;
	     curl_easy_header(easy, "Warning", i, CURLH_HEADER, -1, &header) == CURLHE_OK; i++) {
		if (strncmp(header->value, "299 ", 4) != 0)
			continue;
		const char *open = strchr(header->value, '"');
		const char *end = open ? strrchr(header->value, '"') : NULL;
		if (open && end > open)
			pg_buf_addf(&all, "%s%.*s", all.len > 0 ? "\n" : "", (int)(end - open - 1),
				    open + 1);
	}
	return (char *)all.data;
}

static int take_answer(struct pg_http_xfer *x, struct pg_http_answer *a, struct pg_err *err)
{
	long status = 0;
	char *type = NULL;
	curl_off_t retry_after_s = 0;
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(x->easy, CURLINFO_CONTENT_TYPE, &type);
	curl_easy_getinfo(x->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	a->status = (int)status;
	a->retry_after_s = retry_after_s > 0 ? (uint64_t)retry_after_s : 0;
	a->warning = collect_warnings(x->easy);
	a->content_type = type ? pg_strdup(type) : NULL;
	if (type && !a->content_type)
		return pg_fail(err, -ENOMEM, "read the answer of %s", x->origin);
	return 0;
}

struct call {
	struct pg_http_xfer x;
	struct pg_buf body;
	int refused; /* why the body could not be kept: -ENOBUFS or -ENOMEM */
};

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct call *c = ctx;
	c->refused = pg_buf_add(&c->body, p, size * n);
	return c->refused < 0 ? 0 : size * n;
}

static int run_call(struct call *c, struct pg_http_answer *out, struct pg_err *err)
{
	int rc = pg_http_xfer_start(&c->x, err);
	if (rc == 0)
		rc = pg_http_xfer_wait(&c->x, UINT64_MAX, err);
	if (rc < 0)
		return rc;
	if (c->refused == -ENOBUFS) {
		pg_fail(err, -EMSGSIZE, "the answer of %s is larger than %d MiB.", c->x.origin,
			PG_HTTP_BODY_MAX >> 20);
		return pg_hint(err, PG_CLUSTER, "ask for less, with a namespace or a selector");
	}
	if (c->refused < 0)
		return pg_fail(err, c->refused, "read the answer of %s", c->x.origin);
	if (c->x.result != CURLE_OK)
		return pg_http_xfer_fail(&c->x, err);
	struct pg_http_answer answer = { .body = PG_BUF_INIT(PG_HTTP_BODY_MAX) };
	rc = take_answer(&c->x, &answer, err);
	if (rc < 0) {
		pg_http_answer_fini(&answer);
		return rc;
	}
	answer.body = c->body;
	c->body = (struct pg_buf)PG_BUF_INIT(PG_HTTP_BODY_MAX);
	*out = answer;
	return 0;
}

int pg_http_call(struct pg_http *h, const struct pg_http_peer *peer,
		 const struct pg_http_request *rq, struct pg_http_answer *out, struct pg_err *err)
{
	struct call c = { .body = PG_BUF_INIT(PG_HTTP_BODY_MAX) };
	int rc = pg_http_xfer_init(&c.x, h, peer, rq->path, err);
	if (rc < 0)
		return rc;
	rc = pg_http_xfer_request(&c.x, peer, rq, err);
	if (rc == 0) {
		pg_http_set_ptr(&c.x, CURLOPT_WRITEDATA, &c);
		c.x.setup = c.x.setup ? c.x.setup
				      : curl_easy_setopt(c.x.easy, CURLOPT_WRITEFUNCTION, on_body);
		if (rq->timeout_ms > 0)
			pg_http_set_long(&c.x, CURLOPT_TIMEOUT_MS,
					 (long)pg_min_u64(rq->timeout_ms, INT32_MAX));
		rc = run_call(&c, out, err);
	}
	pg_http_xfer_fini(&c.x);
	pg_buf_fini(&c.body);
	return rc;
}

void pg_http_answer_fini(struct pg_http_answer *a)
{
	free(a->content_type);
	free(a->warning);
	pg_buf_fini(&a->body);
	a->content_type = NULL;
	a->warning = NULL;
}
