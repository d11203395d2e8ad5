#include "injector/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/auto.h"

/* A child process plays the far end with a real socket: it reads a request head and writes the
 * bytes of the test, each `step` of them by itself. TLS and proxies are shown end to end. */

struct fixture {
	struct pg_loop *loop;
	struct pg_http *http;
	struct pg_err err;
	pid_t server;
	int port;
	int asked; /* a pipe: what the server read */
	char url[64];
};

static bool stays_open; /* the server does not end its side */

static void serve(int listener, int tell, const char *answer, size_t n, size_t step)
{
	int fd = accept(listener, NULL, NULL);
	char request[4096];
	size_t len = 0;
	while (len < sizeof(request) - 1) {
		ssize_t got = read(fd, request + len, sizeof(request) - 1 - len);
		if (got <= 0)
			break;
		len += (size_t)got;
		request[len] = '\0';
		if (strstr(request, "\r\n\r\n"))
			break;
	}
	if (write(tell, request, len) < 0)
		_exit(1);
	close(tell);
	for (size_t at = 0; at < n; at += step) {
		size_t part = step < n - at ? step : n - at;
		if (write(fd, answer + at, part) < 0)
			_exit(1);
		if (n < 4096)
			usleep(200);
	}
	if (!stays_open)
		shutdown(fd, SHUT_WR);
	while (read(fd, request, sizeof(request)) > 0)
		;
	_exit(0);
}

/* A listener of the kernel's choice; 0 in *port_out on failure. */
static int listen_somewhere(int *port_out)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port_out = ntohs(at.sin_port);
	return fd;
}

static void start(struct fixture *f, const char *answer, size_t n, size_t step)
{
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	pg_auto_close int listener = listen_somewhere(&f->port);
	snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d", f->port);
	f->asked = pipes[0];
	f->server = fork();
	if (f->server == 0)
		serve(listener, pipes[1], answer, n, step);
	close(pipes[1]);
}

static int set_up(void **state)
{
	static struct fixture f;
	stays_open = false;
	f = (struct fixture){ .asked = -1 };
	f.loop = pg_loop_new(&f.err);
	f.http = pg_http_new(f.loop, &f.err);
	*state = &f;
	return f.http ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	pg_http_free(f->http);
	pg_loop_free(f->loop);
	if (f->server > 0)
		waitpid(f->server, NULL, 0);
	if (f->asked >= 0)
		close(f->asked);
	return 0;
}

static void read_request(struct fixture *f, char *out, size_t n)
{
	size_t len = 0;
	ssize_t got;
	while (len < n - 1 && (got = read(f->asked, out + len, n - 1 - len)) > 0)
		len += (size_t)got;
	out[len] = '\0';
}

#define ANSWER(head, body) "HTTP/1.1 " head "\r\n\r\n" body

static void call_returns_the_answer(void **state)
{
	struct fixture *f = *state;
	static const char bytes[] =
		ANSWER("403 Forbidden\r\nContent-Type: application/json\r\nRetry-After: 7\r\n"
		       "Warning: 299 - \"old field\"\r\nWarning: 299 - \"older one\"\r\n"
		       "Content-Length: 6",
		       "{\"a\":1}");
	start(f, bytes, sizeof(bytes) - 2, 1);
	size_t len = strlen(f->url);
	snprintf(f->url + len, sizeof(f->url) - len, "/prefix");
	const char *headers[] = { "Authorization: Bearer t", "Impersonate-User: me", NULL };
	struct pg_http_peer peer = { .base_url = f->url, .headers = headers };
	struct pg_http_request rq = { .method = "PATCH",
				      .path = "/api/v1?x=1",
				      .content_type = "application/merge-patch+json",
				      .body = "{}" };
	struct pg_http_answer a;
	assert_int_equal(pg_http_call(f->http, &peer, &rq, &a, &f->err), 0);
	assert_int_equal(a.status, 403);
	assert_int_equal(a.retry_after_s, 7);
	assert_string_equal(a.content_type, "application/json");
	assert_string_equal(a.warning, "old field\nolder one");
	assert_string_equal(pg_buf_str(&a.body), "{\"a\":1");
	pg_http_answer_fini(&a);
	char request[4096];
	read_request(f, request, sizeof(request));
	assert_non_null(strstr(request, "PATCH /prefix/api/v1?x=1 HTTP/1.1\r\n"));
	assert_non_null(strstr(request, "\r\nAuthorization: Bearer t\r\n"));
	assert_non_null(strstr(request, "\r\nImpersonate-User: me\r\n"));
	assert_non_null(strstr(request, "\r\nAccept: application/json, */*\r\n"));
	assert_non_null(strstr(request, "\r\nUser-Agent: podgraft/" PG_VERSION " ("));
	assert_non_null(strstr(request, "\r\nContent-Type: application/merge-patch+json\r\n"));
	assert_null(strstr(request, "Expect"));
}

static void call_refused(void **state)
{
	struct fixture *f = *state;
	close(listen_somewhere(&f->port)); /* a port where nobody listens now */
	snprintf(f->url, sizeof(f->url), "https://127.0.0.1:%d", f->port);
	struct pg_http_peer peer = { .base_url = f->url };
	struct pg_http_request rq = { .method = "GET", .path = "/" };
	struct pg_http_answer a;
	assert_int_equal(pg_http_call(f->http, &peer, &rq, &a, &f->err), -ECONNREFUSED);
	assert_int_equal(f->err.whose, PG_CLUSTER);
	assert_non_null(strstr(f->err.what, f->url));
	assert_non_null(strstr(f->err.hint, "server address"));
}

static void call_without_answer(void **state)
{
	struct fixture *f = *state;
	start(f, "", 0, 1);
	struct pg_http_peer peer = { .base_url = f->url };
	struct pg_http_request rq = { .method = "GET", .path = "/" };
	struct pg_http_answer a;
	assert_int_equal(pg_http_call(f->http, &peer, &rq, &a, &f->err), -ECONNRESET);
}

static void call_interrupted(void **state)
{
	struct fixture *f = *state;
	close(listen_somewhere(&f->port));
	pg_auto_close int listener = listen_somewhere(&f->port); /* never accepts */
	snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d", f->port);
	struct pg_http_peer peer = { .base_url = f->url };
	struct pg_http_request rq = { .method = "GET", .path = "/" };
	struct pg_http_answer a;
	pg_loop_interrupt(f->loop, true);
	assert_int_equal(pg_http_call(f->http, &peer, &rq, &a, &f->err), -ECANCELED);
	pg_loop_interrupt(f->loop, false);
	rq.timeout_ms = 50;
	assert_int_equal(pg_http_call(f->http, &peer, &rq, &a, &f->err), -ETIMEDOUT);
}

static void bad_address(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = { "", "host:1", "ftp://host", "https://", "unix:///x" };
	struct pg_http_request rq = { .method = "GET", .path = "/" };
	struct pg_http_answer a;
	for (size_t i = 0; i < PG_LEN(bad); i++) {
		struct pg_http_peer peer = { .base_url = bad[i] };
		assert_int_equal(pg_http_call(f->http, &peer, &rq, &a, &f->err), -EINVAL);
	}
}

static void stream_line_by_line(void **state)
{
	struct fixture *f = *state;
	static const char bytes[] = ANSWER("200 OK\r\nTransfer-Encoding: chunked",
					   "5\r\none\nt\r\n4\r\nwo\n\n\r\n5\r\nthree\r\n0\r\n\r\n");
	start(f, bytes, sizeof(bytes) - 1, 1);
	struct pg_http_peer peer = { .base_url = f->url };
	struct pg_http_request rq = { .method = "GET", .path = "/watch" };
	struct pg_http_stream *s;
	struct pg_buf refusal = PG_BUF_INIT(1024);
	int status;
	assert_int_equal(pg_http_stream_open(f->http, &peer, &rq, &s, &status, &refusal, &f->err),
			 0);
	assert_int_equal(status, 200);
	static const char *const lines[] = { "one", "two", "", "three" };
	const char *line;
	for (size_t i = 0; i < PG_LEN(lines); i++) {
		assert_int_equal(pg_http_stream_line(s, UINT64_MAX, &line, &f->err), 1);
		assert_string_equal(line, lines[i]);
	}
	assert_int_equal(pg_http_stream_line(s, UINT64_MAX, &line, &f->err), 0);
	pg_http_stream_close(s);
}

static void stream_refused(void **state)
{
	struct fixture *f = *state;
	static const char bytes[] = ANSWER("404 Not Found\r\nContent-Length: 4", "gone");
	start(f, bytes, sizeof(bytes) - 1, 3);
	struct pg_http_peer peer = { .base_url = f->url };
	struct pg_http_request rq = { .method = "GET", .path = "/watch" };
	struct pg_http_stream *s = NULL;
	struct pg_buf refusal = PG_BUF_INIT(3);
	int status;
	assert_int_equal(pg_http_stream_open(f->http, &peer, &rq, &s, &status, &refusal, &f->err),
			 0);
	assert_null(s);
	assert_int_equal(status, 404);
	assert_string_equal(pg_buf_str(&refusal), "gon");
	pg_buf_fini(&refusal);
}

static void stream_cut_off(void **state)
{
	struct fixture *f = *state;
	static const char bytes[] = ANSWER("200 OK\r\nContent-Length: 100", "one\ntw");
	start(f, bytes, sizeof(bytes) - 1, 4096);
	struct pg_http_peer peer = { .base_url = f->url };
	struct pg_http_request rq = { .method = "GET", .path = "/watch" };
	struct pg_http_stream *s;
	struct pg_buf refusal = PG_BUF_INIT(1024);
	int status;
	const char *line;
	assert_int_equal(pg_http_stream_open(f->http, &peer, &rq, &s, &status, &refusal, &f->err),
			 0);
	assert_int_equal(pg_http_stream_line(s, UINT64_MAX, &line, &f->err), 1);
	assert_int_equal(pg_http_stream_line(s, UINT64_MAX, &line, &f->err), -ECONNRESET);
	pg_http_stream_close(s);
}

/* More than the stream keeps: it pauses until lines are taken, and loses none. */
static void stream_larger_than_its_buffer(void **state)
{
	struct fixture *f = *state;
	enum { LINES = 400000, LINE = 16 };
	struct pg_buf answer = PG_BUF_INIT(LINES * LINE + 100);
	pg_buf_addf(&answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LINES * LINE);
	for (int i = 0; i < LINES; i++)
		pg_buf_addf(&answer, "%015d\n", i);
	start(f, pg_buf_str(&answer), answer.len, 65536);
	pg_buf_fini(&answer);
	struct pg_http_peer peer = { .base_url = f->url };
	struct pg_http_request rq = { .method = "GET", .path = "/log" };
	struct pg_http_stream *s;
	struct pg_buf refusal = PG_BUF_INIT(1024);
	int status;
	const char *line;
	assert_int_equal(pg_http_stream_open(f->http, &peer, &rq, &s, &status, &refusal, &f->err),
			 0);
	for (int i = 0; i < LINES; i++) {
		char want[LINE];
		snprintf(want, sizeof(want), "%015d", i);
		assert_int_equal(pg_http_stream_line(s, UINT64_MAX, &line, &f->err), 1);
		assert_string_equal(line, want);
	}
	assert_int_equal(pg_http_stream_line(s, UINT64_MAX, &line, &f->err), 0);
	pg_http_stream_close(s);
}

static void upgrade_hands_the_rest_over(void **state)
{
	struct fixture *f = *state;
	static const char bytes[] =
		ANSWER("101 Switching Protocols\r\nupgrade:  SPDY/3.1 \r\nConnection: Upgrade",
		       "bytes of the stream");
	start(f, bytes, sizeof(bytes) - 1, 7);
	const char *mine[] = { "Upgrade: SPDY/3.1", NULL };
	const char *headers[] = { "Authorization: Bearer t", NULL };
	struct pg_http_peer peer = { .base_url = f->url, .headers = headers };
	struct pg_http_upgrade up = { .method = "POST", .path = "/pf", .headers = mine };
	struct pg_http_conn *c;
	struct pg_http_upgraded answer;
	assert_int_equal(pg_http_conn_open(f->http, &peer, &up, 5000, &c, &answer, &f->err), 0);
	assert_int_equal(answer.status, 101);
	size_t n;
	const char *value = pg_http_head_value(&answer.head, "Upgrade", &n);
	assert_memory_equal(value, "SPDY/3.1", n);
	assert_int_equal(n, 8);
	assert_null(pg_http_head_value(&answer.head, "Upgrad", &n));
	char got[64] = "";
	memcpy(got, pg_buf_str(&answer.rest), answer.rest.len);
	size_t len = answer.rest.len;
	ssize_t rc;
	while ((rc = pg_http_conn_recv(c, got + len, sizeof(got) - 1 - len)) != 0)
		if (rc > 0)
			len += (size_t)rc;
		else
			assert_int_equal(rc, -EAGAIN);
	assert_string_equal(got, "bytes of the stream");
	pg_http_conn_close(c);
	pg_buf_fini(&answer.head);
	pg_buf_fini(&answer.rest);
	char request[4096];
	read_request(f, request, sizeof(request));
	assert_non_null(strstr(request, "POST /pf HTTP/1.1\r\nHost: 127.0.0.1:"));
	assert_non_null(
		strstr(request, "\r\nAuthorization: Bearer t\r\nUpgrade: SPDY/3.1\r\n\r\n"));
}

static size_t sockets_for_children(void)
{
	size_t n = 0;
	struct stat st;
	for (int fd = 3; fd < 256; fd++)
		if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) &&
		    !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
			n++;
	return n;
}

static void connections_are_not_for_children(void **state)
{
	struct fixture *f = *state;
	static const char bytes[] = ANSWER("101 Switching Protocols", "");
	size_t before = sockets_for_children();
	start(f, bytes, sizeof(bytes) - 1, 4096);
	struct pg_http_peer peer = { .base_url = f->url };
	struct pg_http_upgrade up = { .method = "GET", .path = "/" };
	struct pg_http_conn *c;
	struct pg_http_upgraded answer;
	assert_int_equal(pg_http_conn_open(f->http, &peer, &up, 5000, &c, &answer, &f->err), 0);
	assert_int_equal(sockets_for_children(), before);
	pg_http_conn_close(c);
	pg_buf_fini(&answer.head);
	pg_buf_fini(&answer.rest);
}

static void upgrade_refused_with_a_lie_about_the_body(void **state)
{
	struct fixture *f = *state;
	static const char bytes[] = ANSWER("403 No\r\nContent-Length: 9999", "no");
	stays_open = true;
	start(f, bytes, sizeof(bytes) - 1, 4096);
	struct pg_http_peer peer = { .base_url = f->url };
	struct pg_http_upgrade up = { .method = "GET", .path = "/" };
	struct pg_http_conn *c;
	struct pg_http_upgraded answer;
	uint64_t began_us = pg_now_us();
	assert_int_equal(pg_http_conn_open(f->http, &peer, &up, 20000, &c, &answer, &f->err), 0);
	assert_true(pg_now_us() - began_us < 10000000);
	assert_null(c);
	assert_int_equal(answer.status, 403);
	assert_string_equal(pg_buf_str(&answer.rest), "no");
	pg_buf_fini(&answer.head);
	pg_buf_fini(&answer.rest);
}

static void ask_through_proxy(struct fixture *f, const char *answer, int code, const char *says,
			      const char *advises)
{
	start(f, answer, strlen(answer), 4096);
	struct pg_http_peer peer = { .base_url = "https://192.0.2.1:6443", .proxy_url = f->url };
	struct pg_http_request rq = { .method = "GET", .path = "/api" };
	struct pg_http_answer out;
	assert_int_equal(pg_http_call(f->http, &peer, &rq, &out, &f->err), code);
	assert_int_equal(f->err.whose, PG_CLUSTER);
	assert_non_null(strstr(f->err.what, says));
	assert_non_null(strstr(f->err.hint, advises));
}

static void proxy_wants_a_password(void **state)
{
	ask_through_proxy(*state, ANSWER("407 Who\r\nContent-Length: 0", ""), -EACCES,
			  "answers 407", "USER:PASSWORD");
}

static void proxy_refuses(void **state)
{
	ask_through_proxy(*state, ANSWER("403 No\r\nContent-Length: 0", ""), -EHOSTUNREACH,
			  "answers 403", "NO_PROXY");
}

struct refusal_case {
	const char *name, *bytes;
	int rc, status;
	const char *body;
};

static struct refusal_case refusals[] = {
	{ "upgrade refused, sized body", ANSWER("403 No\r\nContent-Length: 2", "no..."), 0, 403,
	  "no" },
	{ "upgrade refused, empty body", ANSWER("403 No\r\nContent-Length: 0", ""), 0, 403, "" },
	{ "upgrade refused, chunks",
	  ANSWER("400 B\r\nTransfer-Encoding: chunked", "2\r\nab\r\na\r\n0123456789\r\n0\r\n\r\n"),
	  0, 400, "ab0123456789" },
	{ "upgrade refused, broken chunks", ANSWER("400 B\r\nTransfer-Encoding: chunked", "zz"), 0,
	  400, "" },
	{ "upgrade refused, body to the end", ANSWER("502 Bad", "<html>"), 0, 502, "<html>" },
	{ "upgrade answered in another tongue", "SSH-2.0-x\r\n\r\n", -EPROTO, 0, "" },
	{ "upgrade answered by silence", "", -ECONNRESET, 0, "" },
	{ "upgrade answered by half a head", "HTTP/1.1 101 Sw", -ECONNRESET, 0, "" },
};

static struct refusal_case *current; /* cmocka gives one state: the fixture has it */

static int set_up_refusal(void **state)
{
	current = *state;
	return set_up(state);
}

static void upgrade_refused(void **state)
{
	struct fixture *f = *state;
	start(f, current->bytes, strlen(current->bytes), 4096);
	struct pg_http_peer peer = { .base_url = f->url };
	struct pg_http_upgrade up = { .method = "POST", .path = "/pf" };
	struct pg_http_conn *c = NULL;
	struct pg_http_upgraded answer = { .status = 0 };
	assert_int_equal(pg_http_conn_open(f->http, &peer, &up, 5000, &c, &answer, &f->err),
			 current->rc);
	assert_null(c);
	assert_int_equal(answer.status, current->status);
	assert_string_equal(pg_buf_str(&answer.rest), current->body);
	pg_buf_fini(&answer.head);
	pg_buf_fini(&answer.rest);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	static const struct CMUnitTest plain[] = {
		CASE(call_returns_the_answer),
		CASE(call_refused),
		CASE(call_without_answer),
		CASE(call_interrupted),
		CASE(bad_address),
		CASE(stream_line_by_line),
		CASE(stream_refused),
		CASE(stream_cut_off),
		CASE(stream_larger_than_its_buffer),
		CASE(upgrade_hands_the_rest_over),
		CASE(connections_are_not_for_children),
		CASE(upgrade_refused_with_a_lie_about_the_body),
		CASE(proxy_wants_a_password),
		CASE(proxy_refuses),
	};
	struct CMUnitTest tests[PG_LEN(plain) + PG_LEN(refusals)];
	memcpy(tests, plain, sizeof(plain));
	for (size_t i = 0; i < PG_LEN(refusals); i++)
		tests[PG_LEN(plain) + i] =
			(struct CMUnitTest){ refusals[i].name, upgrade_refused, set_up_refusal,
					     tear_down, &refusals[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
