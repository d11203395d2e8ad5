#include "agent/test_api.h"

#include "agent/challenge.h"
#include "proto/wire/podgraft.pb-c.h"

/* What the control API answers, to whom, and which proofs it takes. */

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
	assert_non_null(strstr(r.body, "\"profile\":\"redirect\",\"sessions\":2,\"redirects\":3,"
				       "\"mechanism\":\"tproxy\",\"connections\":0,\"served\":0,"
				       "\"fallen_back\":0,\"probes\":0,\"away\":[{\"direction\":"
				       "\"outgoing\",\"port\":5432,\"by\":\"ann@laptop\","
				       "\"since\":1700000000,\"away_since\":1700000060}]}"));

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

static void info_is_read_as_protobuf(void **state)
{
	struct fixture *f = *state;
	static struct reply r;
	read_with_proof(f, "/v1/info", "Accept: application/x-protobuf\r\n", &r);
	assert_int_equal(r.status, 200);
	Podgraft__V1__Info *m =
		podgraft__v1__info__unpack(NULL, r.body_len, (const uint8_t *)r.body);
	assert_non_null(m);
	assert_string_equal(m->profile, "redirect");
	assert_int_equal(m->sessions, 2);
	assert_string_equal(m->mechanism, "tproxy");
	assert_int_equal(m->n_away, 1);
	assert_true(m->away[0]->outgoing);
	assert_int_equal(m->away[0]->port, 5432);
	assert_string_equal(m->away[0]->by, "ann@laptop");
	assert_int_equal(m->away[0]->since, 1700000000);
	assert_int_equal(m->away[0]->away_since, 1700000060);
	podgraft__v1__info__free_unpacked(m, NULL);
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

/* A stranger cannot use up a challenge that the laptop was given. */
static void a_failed_proof_leaves_its_challenge_to_the_laptop(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	char authz[PG_AUTHZ_MAX], request[1024];
	prepare(f, PG_PURPOSE_LINK, &st);
	for (int i = 0; i < 3; i++) { /* the second one is as it should be */
		st.pod_uid[0] ^= 1;
		sign(f, &st, authz);
		link_request(authz, request, sizeof(request));
		ask(f, request, &r);
		assert_int_equal(r.status, i == 1 ? 101 : 401);
	}
	assert_int_equal(f->linked, 1);
}

static void a_link_without_room_is_refused_in_words(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	char authz[PG_AUTHZ_MAX], request[1024];
	f->full = true;
	prepare(f, PG_PURPOSE_LINK, &st);
	sign(f, &st, authz);
	link_request(authz, request, sizeof(request));
	ask(f, request, &r);
	assert_int_equal(r.status, 503);
	assert_non_null(strstr(r.body, "no room for one more link"));
	assert_int_equal(f->linked, 0);
}

/* As many proofs as anybody may give in 10 s, from one who has the key: then no more. */
static void proofs_in_ten_seconds_are_bounded(void **state)
{
	struct fixture *f = *state;
	static struct reply r;
	for (int i = 0; i < PG_CHALLENGES_USED; i++) {
		read_with_proof(f, "/v1/info", "", &r);
		assert_int_equal(r.status, 200);
	}
	read_with_proof(f, "/v1/info", "", &r);
	assert_int_equal(r.status, 429);
	assert_non_null(strstr(r.body, "too many proofs"));
	get(f, "/v1/challenge", &r);
	assert_int_equal(r.status, 200);
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

int main(void)
{
	static const struct CMUnitTest singles[] = {
		TEST(free_routes),
		TEST(head_has_no_body),
		TEST(one_connection_takes_several_requests),
		TEST(info_is_read_with_a_proof),
		TEST(processes_are_read_as_json),
		TEST(info_is_read_as_protobuf),
		TEST(processes_are_read_as_protobuf),
		TEST(a_link_without_room_is_refused_in_words),
		TEST(a_failed_proof_leaves_its_challenge_to_the_laptop),
		TEST(proofs_in_ten_seconds_are_bounded),
		TEST(the_agents_own_signature_does_not_do),
	};
	struct CMUnitTest tests[PG_LEN(singles) + PG_LEN(plain_cases) + PG_LEN(forgeries)];
	struct CMUnitTest *t = tests + PG_LEN(singles);
	memcpy(tests, singles, sizeof(singles));
	for (size_t i = 0; i < PG_LEN(plain_cases); i++)
		*t++ = (struct CMUnitTest){ plain_cases[i].name, plain_request, set_up, tear_down,
					    &plain_cases[i] };
	for (size_t i = 0; i < PG_LEN(forgeries); i++)
		*t++ = (struct CMUnitTest){ forgeries[i].name, refuses_forgery, set_up, tear_down,
					    &forgeries[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
