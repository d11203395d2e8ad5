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
#include <sys/resource.h>
#include <sys/socket.h>
#include <uv.h>

#include "agent/routes.h"
#include "proto/base/auto.h"
#include "proto/wire/podgraft.pb-c.h"

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

static void on_linked(void *ctx, int fd, const uint8_t session[PG_SESSION_BYTES],
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

static void add_info(void *ctx, struct pg_buf *body)
{
	(void)ctx;
	pg_buf_add_str(body, "\"sessions\":0");
}

static int set_up(void **state)
{
	static const struct pg_routes_events events = { .linked = on_linked, .info = add_info };
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

static int tear_down(void **state)
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

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* Lets the server work for a moment. */
static void pump(struct fixture *f)
{
	uv_run(pg_loop_uv(f->loop), UV_RUN_NOWAIT);
}

static int dial(const struct fixture *f)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(pg_routes_port(f->routes)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* True when `text` holds a whole answer. */
static bool is_whole(const char *text, size_t n, size_t *body_out)
{
	const char *end = strstr(text, "\r\n\r\n");
	const char *length = strstr(text, "Content-Length: ");
	if (!end)
		return false;
	*body_out = (size_t)(end + 4 - text);
	if (strncmp(text, "HTTP/1.1 101", 12) == 0)
		return true;
	return length && n - *body_out >= strtoul(length + strlen("Content-Length: "), NULL, 10);
}

/* Reads one answer, byte by byte when it is an upgrade, so that the lane's bytes stay in the
 * socket. */
static void listen_for(struct fixture *f, int fd, struct reply *r)
{
	uint64_t deadline = now_ms() + 5000;
	size_t n = 0, body = 0;
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
	assert_int_equal(sscanf(r->text, "HTTP/1.1 %d", &r->status), 1);
}

static void ask(struct fixture *f, const char *request, struct reply *r)
{
	int fd = dial(f);
	say(fd, request);
	listen_for(f, fd, r);
	close(fd);
}

static void get(struct fixture *f, const char *path, struct reply *r)
{
	char request[256];
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
	ask(f, request, r);
}

/* The string member `name` of a flat JSON object. */
static void member(const char *json, const char *name, char *out, size_t size)
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
static void prepare(struct fixture *f, enum pg_purpose purpose, struct pg_statement *st)
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

static void sign(const struct fixture *f, const struct pg_statement *st, char authz[PG_AUTHZ_MAX])
{
	uint8_t sig[PG_SIG_BYTES];
	pg_statement_sign(st, PG_ROLE_LAPTOP, &f->laptop, sig);
	pg_authz_format(st, sig, authz);
}

static void read_request(const char *path, const char *authz, char *out, size_t size)
{
	snprintf(out, size, "GET %s HTTP/1.1\r\nHost: a\r\nAuthorization: %s\r\n\r\n", path, authz);
}

static void link_request(const char *authz, char *out, size_t size)
{
	snprintf(out, size,
		 "POST /v1/link HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
		 "Upgrade: podgraft/1\r\nAuthorization: %s\r\n\r\n",
		 authz);
}

/* --- what is answered to whom --- */

static void free_routes(void **state)
{
	struct fixture *f = *state;
	static struct reply r;
	char text[64];
	get(f, "/v1/health", &r);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, "{\"status\":\"ok\",\"protocol\":1}\n");
	assert_non_null(strstr(r.text, "Content-Type: application/json"));
	get(f, "/v1/challenge?x=1", &r);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.body, "\"protocol\":1"));
	member(r.body, "profile", text, sizeof(text));
	assert_string_equal(text, "redirect");
}

static struct plain_case {
	const char *name, *request;
	int status;
	const char *in_text;
} plain_cases[] = {
	{ "unknown path", "GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n", 404, "\"hint\":\"" },
	{ "root", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404, "\"error\":\"no such path\"" },
	{ "wrong method", "POST /v1/health HTTP/1.1\r\nHost: a\r\n\r\n", 405, "Allow: GET" },
	{ "unknown method", "BREW /v1/health HTTP/1.1\r\nHost: a\r\n\r\n", 405, "use GET" },
	{ "link is not to be got", "GET /v1/link HTTP/1.1\r\nHost: a\r\n\r\n", 405, "Allow: POST" },
	{ "info without proof", "GET /v1/info HTTP/1.1\r\nHost: a\r\n\r\n", 401,
	  "WWW-Authenticate: Podgraft" },
	{ "processes without proof", "GET /v1/processes HTTP/1.1\r\nHost: a\r\n\r\n", 401,
	  "\"error\":\"proof needed\"" },
	{ "link without proof", "POST /v1/link HTTP/1.1\r\nHost: a\r\n\r\n", 401,
	  "\"error\":\"proof needed\"" },
	{ "another scheme", "GET /v1/info HTTP/1.1\r\nHost: a\r\nAuthorization: Basic eA==\r\n\r\n",
	  401, "malformed proof" },
	{ "a body", "POST /v1/link HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd", 413, "" },
	{ "a chunked body",
	  "POST /v1/link HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
	  "chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
	  413, "" },
};

static void plain_request(void **state)
{
	struct fixture *f = *state;
	const struct plain_case *c = f->test_case;
	static struct reply r;
	ask(f, c->request, &r);
	assert_int_equal(r.status, c->status);
	assert_non_null(strstr(r.text, c->in_text));
}

static void head_has_no_body(void **state)
{
	struct fixture *f = *state;
	char text[1024] = "";
	size_t n = 0;
	int fd = dial(f);
	say(fd, "HEAD /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	for (ssize_t got = -1; got != 0;) {
		pump(f);
		got = recv(fd, text + n, sizeof(text) - 1 - n, MSG_DONTWAIT);
		if (got > 0)
			n += (size_t)got;
	}
	close(fd);
	assert_non_null(strstr(text, "HTTP/1.1 200"));
	assert_string_equal(text + n - 4, "\r\n\r\n");
}

static void one_connection_takes_several_requests(void **state)
{
	struct fixture *f = *state;
	static struct reply r;
	int fd = dial(f);
	for (int i = 0; i < 3; i++) {
		say(fd, "GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n");
		listen_for(f, fd, &r);
		assert_int_equal(r.status, 200);
	}
	close(fd);
}

/* --- proofs --- */

static void info_is_read_with_a_proof(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	char authz[PG_AUTHZ_MAX], request[1024];
	prepare(f, PG_PURPOSE_READ, &st);
	sign(f, &st, authz);
	read_request("/v1/info", authz, request, sizeof(request));
	ask(f, request, &r);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.body, "\"profile\":\"redirect\",\"sessions\":0}"));

	ask(f, request, &r); /* the same again */
	assert_int_equal(r.status, 401);
	assert_non_null(strstr(r.body, "challenge used or expired"));
}

/* A read with proof, and with one more header line. */
static void read_with_proof(struct fixture *f, const char *path, const char *line, struct reply *r)
{
	struct pg_statement st;
	char authz[PG_AUTHZ_MAX], request[1024];
	prepare(f, PG_PURPOSE_READ, &st);
	sign(f, &st, authz);
	snprintf(request, sizeof(request),
		 "GET %s HTTP/1.1\r\nHost: a\r\n%sAuthorization: %s\r\n\r\n", path, line, authz);
	ask(f, request, r);
}

static void processes_are_read_as_json(void **state)
{
	struct fixture *f = *state;
	static struct reply r;
	char text[128];
	read_with_proof(f, "/v1/processes", "", &r);
	assert_int_equal(r.status, 200);
	snprintf(text, sizeof(text), "{\"pid\":%d,\"ppid\":%d,\"uid\":%u,\"name\":\"test_routes\"",
		 getpid(), getppid(), geteuid());
	assert_non_null(strstr(r.body, text));
	snprintf(text, sizeof(text), "\"address\":\"127.0.0.1\",\"port\":%u,\"pid\":%d",
		 pg_routes_port(f->routes), getpid());
	assert_non_null(strstr(r.body, text));
	assert_non_null(strstr(r.body, "\"truncated\":false}\n"));
}

static void processes_are_read_as_protobuf(void **state)
{
	struct fixture *f = *state;
	static struct reply r;
	bool has_us = false, has_port = false;
	read_with_proof(f, "/v1/processes", "Accept: application/x-protobuf\r\n", &r);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.text, "Content-Type: application/x-protobuf"));
	Podgraft__V1__Processes *m =
		podgraft__v1__processes__unpack(NULL, r.body_len, (const uint8_t *)r.body);
	assert_non_null(m);
	for (size_t i = 0; i < m->n_processes; i++)
		has_us |= m->processes[i]->pid == (uint32_t)getpid() &&
			  strcmp(m->processes[i]->name, "test_routes") == 0 &&
			  m->processes[i]->n_command > 0;
	for (size_t i = 0; i < m->n_sockets; i++)
		has_port |= m->sockets[i]->port == pg_routes_port(f->routes) &&
			    m->sockets[i]->pid == (uint32_t)getpid() &&
			    m->sockets[i]->address.len == 4;
	assert_true(has_us);
	assert_true(has_port);
	podgraft__v1__processes__free_unpacked(m, NULL);
}

/* Each makes a proof that must not open anything. */
static void other_purpose(struct fixture *f, struct pg_statement *st)
{
	(void)f;
	st->purpose = PG_PURPOSE_READ;
}

static void other_pod(struct fixture *f, struct pg_statement *st)
{
	(void)f;
	st->pod_uid[0] ^= 1;
}

static void other_container(struct fixture *f, struct pg_statement *st)
{
	(void)f;
	st->container[0] ^= 1;
}

static void other_agent_key(struct fixture *f, struct pg_statement *st)
{
	(void)f;
	st->agent_key[0] ^= 1;
}

static void other_agent_version(struct fixture *f, struct pg_statement *st)
{
	(void)f;
	st->agent_version[0] ^= 1;
}

static void other_laptop(struct fixture *f, struct pg_statement *st)
{
	pg_keys_make(&f->laptop);
	memcpy(st->laptop_key, f->laptop.pub, PG_KEY_BYTES);
}

static void made_up_challenge(struct fixture *f, struct pg_statement *st)
{
	(void)f;
	pg_random(st->agent_nonce, PG_NONCE_BYTES);
}

static struct forgery {
	const char *name;
	void (*tweak)(struct fixture *f, struct pg_statement *st);
	const char *error;
} forgeries[] = {
	{ "proof of another purpose", other_purpose, "wrong signature" },
	{ "proof for another pod", other_pod, "wrong signature" },
	{ "proof for another container", other_container, "wrong signature" },
	{ "proof for another agent's key", other_agent_key, "wrong signature" },
	{ "proof for another version", other_agent_version, "wrong signature" },
	{ "proof of another laptop", other_laptop, "wrong key" },
	{ "proof with a challenge of its own", made_up_challenge, "challenge used or expired" },
};

static void refuses_forgery(void **state)
{
	struct fixture *f = *state;
	const struct forgery *c = f->test_case;
	struct pg_statement st;
	static struct reply r;
	char authz[PG_AUTHZ_MAX], request[1024];
	prepare(f, PG_PURPOSE_LINK, &st);
	c->tweak(f, &st);
	sign(f, &st, authz);
	link_request(authz, request, sizeof(request));
	ask(f, request, &r);
	assert_int_equal(r.status, 401);
	assert_non_null(strstr(r.body, c->error));
	assert_int_equal(f->linked, 0);
}

/* Whatever was wrong with a proof, its challenge is gone. */
static void a_failed_proof_uses_its_challenge_up(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	char authz[PG_AUTHZ_MAX], request[1024];
	prepare(f, PG_PURPOSE_LINK, &st);
	st.pod_uid[0] ^= 1;
	sign(f, &st, authz);
	link_request(authz, request, sizeof(request));
	ask(f, request, &r);
	assert_int_equal(r.status, 401);
	st.pod_uid[0] ^= 1;
	sign(f, &st, authz);
	link_request(authz, request, sizeof(request));
	ask(f, request, &r);
	assert_int_equal(r.status, 401);
	assert_non_null(strstr(r.body, "challenge used or expired"));
}

/* A signature of the agent itself, bounced back to it, is none of the laptop's. */
static void the_agents_own_signature_does_not_do(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	uint8_t sig[PG_SIG_BYTES];
	char authz[PG_AUTHZ_MAX], request[1024];
	prepare(f, PG_PURPOSE_LINK, &st);
	pg_statement_sign(&st, PG_ROLE_AGENT, &f->id.keys, sig);
	pg_authz_format(&st, sig, authz);
	link_request(authz, request, sizeof(request));
	ask(f, request, &r);
	assert_int_equal(r.status, 401);
	assert_int_equal(f->linked, 0);
}

/* --- links --- */

/* Sends a good request for a link and `extra` behind it in the same bytes; leaves the answer in
 * `r`, returns the socket. */
static int open_link(struct fixture *f, const char *extra, struct pg_statement *st, struct reply *r)
{
	char authz[PG_AUTHZ_MAX], request[1024];
	prepare(f, PG_PURPOSE_LINK, st);
	sign(f, st, authz);
	link_request(authz, request, sizeof(request) - strlen(extra));
	strcat(request, extra);
	int fd = dial(f);
	say(fd, request);
	listen_for(f, fd, r);
	return fd;
}

static void a_link_is_proved_by_both_sides(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	int fd = open_link(f, "first bytes", &st, &r);
	assert_int_equal(r.status, 101);
	assert_non_null(strstr(r.text, "\r\nUpgrade: podgraft/1\r\n"));
	const char *proof = strstr(r.text, "\r\nPodgraft-Proof: ");
	assert_non_null(proof);
	char text[PG_B64_SIG] = "";
	uint8_t sig[PG_SIG_BYTES];
	memcpy(text, proof + strlen("\r\nPodgraft-Proof: "), PG_B64_SIG - 1);
	assert_int_equal(pg_b64_decode(text, sig, sizeof(sig)), 0);
	assert_int_equal(pg_statement_verify(&st, PG_ROLE_AGENT, sig), 0);

	assert_int_equal(f->linked, 1);
	assert_memory_equal(f->session, st.session, PG_SESSION_BYTES);
	assert_int_equal(f->extra_len, strlen("first bytes"));
	assert_memory_equal(f->extra, "first bytes", f->extra_len);
	close(fd);
}

/* The socket is the callee's alone: nonblocking, close-on-exec, and the server neither reads from
 * it nor ends it at the deadline. */
static void a_link_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	char text[16] = "";
	int fd = open_link(f, "", &st, &r);
	assert_int_equal(f->linked, 1);
	assert_int_equal(f->extra_len, 0);
	assert_true(fcntl(f->link_fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(f->link_fd, F_GETFD) & FD_CLOEXEC);
	for (uint64_t end = now_ms() + PG_HTTPD_DEADLINE_MS + 200; now_ms() < end;) {
		pump(f);
		uv_sleep(5);
	}
	say(fd, "up");
	pump(f);
	assert_int_equal(recv(f->link_fd, text, sizeof(text), 0), 2);
	assert_int_equal(send(f->link_fd, "down", 4, MSG_NOSIGNAL), 4);
	pump(f);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 4);
	assert_string_equal(text, "down");
	shutdown(fd, SHUT_WR);
	assert_int_equal(recv(f->link_fd, text, sizeof(text), 0), 0);
	close(fd);
}

static void a_link_wants_the_upgrade(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	char authz[PG_AUTHZ_MAX], request[1024];
	prepare(f, PG_PURPOSE_LINK, &st);
	sign(f, &st, authz);
	snprintf(request, sizeof(request),
		 "POST /v1/link HTTP/1.1\r\nHost: a\r\nAuthorization: %s\r\n\r\n", authz);
	ask(f, request, &r);
	assert_int_equal(r.status, 426);
	assert_non_null(strstr(r.text, "Upgrade: podgraft/1"));
	assert_int_equal(f->linked, 0);
}

/* The laptop is gone before its answer: nobody is told of a link. */
static void a_link_may_vanish(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	char authz[PG_AUTHZ_MAX], request[1024];
	for (int i = 0; i < 20; i++) {
		prepare(f, PG_PURPOSE_LINK, &st);
		sign(f, &st, authz);
		link_request(authz, request, sizeof(request));
		int fd = dial(f);
		say(fd, request);
		struct linger now = { .l_onoff = 1, .l_linger = 0 };
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		for (int turns = i % 4; turns > 0; turns--)
			pump(f);
		close(fd);
	}
	get(f, "/v1/health", &r);
	assert_int_equal(r.status, 200);
}

/* --- many, and bad ones --- */

enum { TRICKLERS = 64 };

static void tricklers_bother_nobody_and_are_ended(void **state)
{
	struct fixture *f = *state;
	static struct reply r;
	int fds[TRICKLERS];
	unsigned ended = 0;
	uint64_t start = now_ms(), next_byte = start, next_request = start;
	for (int i = 0; i < TRICKLERS; i++)
		fds[i] = dial(f);
	while (ended < TRICKLERS) {
		uint64_t now = now_ms();
		assert_true(now - start < PG_HTTPD_DEADLINE_MS + 500);
		if (now >= next_byte) {
			for (int i = 0; i < TRICKLERS; i++)
				send(fds[i], "G", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
			next_byte += 1000;
		}
		if (now >= next_request) {
			get(f, "/v1/health", &r);
			assert_int_equal(r.status, 200);
			assert_true(now_ms() - now < 300);
			next_request += 500;
		}
		pump(f);
		ended = 0;
		for (int i = 0; i < TRICKLERS; i++) {
			char byte;
			ssize_t got = recv(fds[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK);
			ended += got == 0 || (got < 0 && errno != EAGAIN);
		}
		uv_sleep(2);
	}
	assert_true(now_ms() - start >= PG_HTTPD_DEADLINE_MS - 100);
	for (int i = 0; i < TRICKLERS; i++)
		close(fds[i]);
}

enum { CROWD = 300 };

/* More than there is room for: the oldest silent ones go, whoever asks is answered. */
static void a_crowd_is_served(void **state)
{
	struct fixture *f = *state;
	static struct reply r;
	int silent[CROWD], asking[CROWD];
	for (int i = 0; i < CROWD; i++)
		silent[i] = dial(f);
	for (int i = 0; i < 20; i++)
		pump(f);
	for (int i = 0; i < CROWD; i++) {
		asking[i] = dial(f);
		say(asking[i],
		    "GET /v1/challenge HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	}
	for (int i = 0; i < CROWD; i++) {
		listen_for(f, asking[i], &r);
		assert_int_equal(r.status, 200);
		close(asking[i]);
	}
	char byte;
	assert_int_equal(recv(silent[0], &byte, 1, MSG_DONTWAIT), 0);
	for (int i = 0; i < CROWD; i++)
		close(silent[i]);
}

/* Without descriptors accepting pauses; it goes on once there are some. */
static void no_descriptors_left(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, none;
	static struct reply r;
	int fd = dial(f);
	say(fd, "GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (uint64_t end = now_ms() + 50; now_ms() < end;) {
		pump(f);
		uv_sleep(1);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	listen_for(f, fd, &r);
	assert_int_equal(r.status, 200);
	close(fd);
}

static void requests_larger_than_their_room_are_refused(void **state)
{
	struct fixture *f = *state;
	static struct reply r;
	static char request[64 * 1024];
	snprintf(request, sizeof(request), "GET /v1/health HTTP/1.1\r\nHost: a\r\nX: ");
	memset(request + strlen(request), 'x', sizeof(request) - strlen(request) - 1);
	int fd = dial(f);
	send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	listen_for(f, fd, &r);
	assert_true(r.status == 0 || (r.status >= 400 && r.status < 500));
	close(fd);
	get(f, "/v1/health", &r);
	assert_int_equal(r.status, 200);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	struct CMUnitTest tests[16 + PG_LEN(plain_cases) + PG_LEN(forgeries)] = {
		TEST(free_routes),
		TEST(head_has_no_body),
		TEST(one_connection_takes_several_requests),
		TEST(info_is_read_with_a_proof),
		TEST(processes_are_read_as_json),
		TEST(processes_are_read_as_protobuf),
		TEST(a_failed_proof_uses_its_challenge_up),
		TEST(the_agents_own_signature_does_not_do),
		TEST(a_link_is_proved_by_both_sides),
		TEST(a_link_is_left_alone),
		TEST(a_link_wants_the_upgrade),
		TEST(a_link_may_vanish),
		TEST(tricklers_bother_nobody_and_are_ended),
		TEST(a_crowd_is_served),
		TEST(no_descriptors_left),
		TEST(requests_larger_than_their_room_are_refused),
	};
	struct CMUnitTest *t = tests + 16;
	for (size_t i = 0; i < PG_LEN(plain_cases); i++)
		*t++ = (struct CMUnitTest){ plain_cases[i].name, plain_request, set_up, tear_down,
					    &plain_cases[i] };
	for (size_t i = 0; i < PG_LEN(forgeries); i++)
		*t++ = (struct CMUnitTest){ forgeries[i].name, refuses_forgery, set_up, tear_down,
					    &forgeries[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
