#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <uv.h>

#include "agent/routes.h"
#include "proto/base/auto.h"
#include "proto/base/num.h"

/* The control API on real sockets: the clients are plain blocking code that lets the server's loop
 * run while it waits (pump). */

#define POD       "0e3c7c0b-4e0d-4a58-9c3c-0a1b2c3d4e5f"
#define CONTAINER "podgraft-x7k2q"

struct fixture {
	struct pg_loop *loop;
	struct pg_routes *routes;
	struct pg_identity id;
	struct pg_keys laptop;
	const void *test_case; /* a row of a table, or NULL */
	bool full;             /* no room for a lane */
	int linked, link_fd;   /* how often, and the last one */
	uint8_t session[PG_SESSION_BYTES];
	char extra[64];
	size_t extra_len;
};

struct reply {
	int status; /* 0: the server hung up without an answer */
	char text[1 << 20];
	const char *body; /* in text */
	size_t body_len;
};

static inline bool has_room(void *ctx, const uint8_t session[PG_SESSION_BYTES])
{
	(void)session;
	return !((struct fixture *)ctx)->full;
}

static inline void on_linked(void *ctx, int fd, const uint8_t session[PG_SESSION_BYTES],
			     const uint8_t *extra, size_t n)
{
	struct fixture *f = ctx;
	if (f->link_fd >= 0)
		close(f->link_fd);
	f->linked++;
	f->link_fd = fd;
	f->extra_len = n;
	memcpy(f->session, session, PG_SESSION_BYTES);
	assert_true(n <= sizeof(f->extra));
	if (n > 0)
		memcpy(f->extra, extra, n);
}

static const struct pg_away away = { .items = { { .direction = PG_OUTGOING,
						  .port = 5432,
						  .holder = "ann@laptop",
						  .since = 1700000000,
						  .away_since = 1700000060 } },
				     .count = 1 };

static inline void tell_facts(void *ctx, struct pg_facts *out)
{
	(void)ctx;
	*out = (struct pg_facts){
		.sessions = 2, .redirects = 3, .mechanism = "tproxy", .away = &away
	};
}

static inline int set_up(void **state)
{
	static const struct pg_routes_events events = { .has_room = has_room,
							.linked = on_linked,
							.info = tell_facts };
	struct fixture *f = calloc(1, sizeof(*f));
	struct pg_err err;
	assert_int_equal(pg_auth_init(), 0);
	f->test_case = *state;
	f->link_fd = -1;
	f->id = (struct pg_identity){
		.pod_uid = POD, .container = CONTAINER, .profile = "redirect", .version = "0.1.0"
	};
	pg_keys_make(&f->laptop);
	pg_keys_make(&f->id.keys);
	memcpy(f->id.laptop_key, f->laptop.pub, PG_KEY_BYTES);
	f->loop = pg_loop_new(&err);
	assert_non_null(f->loop);
	assert_int_equal(pg_routes_new(f->loop, &f->id, &events, f, &f->routes, &err), 0);
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;
	pg_routes_close(f->routes);
	pg_loop_free(f->loop);
	if (f->link_fd >= 0)
		close(f->link_fd);
	free(f);
	return 0;
}

/* --- a client --- */

static inline uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* Lets the server work for a moment. */
static inline void pump(struct fixture *f)
{
	uv_run(pg_loop_uv(f->loop), UV_RUN_NOWAIT);
}

static inline int dial(const struct fixture *f)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(pg_routes_port(f->routes)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static inline void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* True when `text` holds a whole answer. */
static inline bool is_whole(const char *text, size_t n, size_t *body_out)
{
	const char *end = strstr(text, "\r\n\r\n");
	const char *length = strstr(text, "Content-Length: ");
	uint64_t want;
	if (!end)
		return false;
	*body_out = (size_t)(end + 4 - text);
	if (strncmp(text, "HTTP/1.1 101", 12) == 0)
		return true;
	if (!length)
		return false;
	length += strlen("Content-Length: ");
	assert_int_equal(pg_parse_u64n(length, strcspn(length, "\r"), 0, SIZE_MAX, &want), 0);
	return n - *body_out >= want;
}

/* Reads one answer, byte by byte when it is an upgrade, so that the lane's bytes stay in the
 * socket. */
static inline void listen_for(struct fixture *f, int fd, struct reply *r)
{
	uint64_t deadline = now_ms() + 5000;
	size_t n = 0, body = 0;
	uint64_t status;
	memset(r, 0, sizeof(*r));
	while (!is_whole(r->text, n, &body)) {
		pump(f);
		ssize_t got = recv(fd, r->text + n, 1, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			return;
		if (got > 0)
			n++;
		assert_true(n < sizeof(r->text) - 1 && now_ms() < deadline);
	}
	r->body = r->text + body;
	r->body_len = n - body;
	assert_memory_equal(r->text, "HTTP/1.1 ", 9);
	assert_int_equal(pg_parse_u64n(r->text + 9, 3, 100, 599, &status), 0);
	r->status = (int)status;
}

static inline void ask(struct fixture *f, const char *request, struct reply *r)
{
	int fd = dial(f);
	say(fd, request);
	listen_for(f, fd, r);
	close(fd);
}

static inline void get(struct fixture *f, const char *path, struct reply *r)
{
	char request[256];
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
	ask(f, request, r);
}

/* The string member `name` of a flat JSON object. */
static inline void member(const char *json, const char *name, char *out, size_t size)
{
	char key[64];
	snprintf(key, sizeof(key), "\"%s\":\"", name);
	const char *at = strstr(json, key);
	assert_non_null(at);
	at += strlen(key);
	size_t n = strcspn(at, "\"");
	assert_true(n < size);
	memcpy(out, at, n);
	out[n] = '\0';
}

/* What a laptop does: asks for a challenge and fills in a statement. */
static inline void prepare(struct fixture *f, enum pg_purpose purpose, struct pg_statement *st)
{
	static struct reply r;
	char nonce[PG_B64_KEY], key[PG_B64_KEY];
	get(f, "/v1/challenge", &r);
	assert_int_equal(r.status, 200);
	memset(st, 0, sizeof(*st));
	member(r.body, "nonce", nonce, sizeof(nonce));
	member(r.body, "agent_key", key, sizeof(key));
	assert_int_equal(pg_b64_decode(nonce, st->agent_nonce, PG_NONCE_BYTES), 0);
	assert_int_equal(pg_b64_decode(key, st->agent_key, PG_KEY_BYTES), 0);
	member(r.body, "pod_uid", st->pod_uid, sizeof(st->pod_uid));
	member(r.body, "container", st->container, sizeof(st->container));
	member(r.body, "version", st->agent_version, sizeof(st->agent_version));
	st->purpose = purpose;
	memcpy(st->laptop_key, f->laptop.pub, PG_KEY_BYTES);
	pg_random(st->laptop_nonce, PG_NONCE_BYTES);
	snprintf(st->laptop_version, sizeof(st->laptop_version), "0.1.0");
	if (purpose == PG_PURPOSE_LINK)
		pg_random(st->session, PG_SESSION_BYTES);
}

static inline void sign(const struct fixture *f, const struct pg_statement *st,
			char authz[PG_AUTHZ_MAX])
{
	uint8_t sig[PG_SIG_BYTES];
	pg_statement_sign(st, PG_ROLE_LAPTOP, &f->laptop, sig);
	pg_authz_format(st, sig, authz);
}

static inline void read_request(const char *path, const char *authz, char *out, size_t size)
{
	snprintf(out, size, "GET %s HTTP/1.1\r\nHost: a\r\nAuthorization: %s\r\n\r\n", path, authz);
}

static inline void link_request(const char *authz, char *out, size_t size)
{
	snprintf(out, size,
		 "POST /v1/link HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
		 "Upgrade: podgraft/1\r\nAuthorization: %s\r\n\r\n",
		 authz);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
