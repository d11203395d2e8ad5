#include "injector/agent_api.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/mem.h"
#include "proto/io/lane_sock.h"
#include "proto/wire/hello.h"

/* The lane is a socket pair; its other end is an agent that says nothing, too much, or no. */

struct fixture {
	struct pg_platform platform; /* first: the handle that callers have */
	struct pg_loop *loop;
	int ends[2];
};

static int dial(struct pg_platform *p, const struct pg_pod *pod, uint16_t port,
		struct pg_lane_events events, void *ctx, struct pg_lane **out, struct pg_err *err)
{
	struct fixture *f = (struct fixture *)p;
	(void)pod;
	(void)port;
	int rc = pg_lane_sock_new(f->loop, f->ends[0], events, ctx, out);
	return rc < 0 ? pg_fail(err, rc, "dial") : 0;
}

static const struct pg_platform_ops ops = { .dial = dial };
static const struct pg_pod pod = { .name = "web", .ns = "default", .uid = "0e3c" };
static const struct pg_graft graft = { .container = "podgraft-x", .port = 1 };

static int set_up(void **state)
{
	static struct fixture f;
	f = (struct fixture){ .platform = { .ops = &ops } };
	f.loop = pg_loop_new(NULL);
	*state = &f;
	return f.loop ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f.ends) : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	pg_loop_free(f->loop);
	close(f->ends[1]);
	return 0;
}

/* An interrupt says nothing about the agent: the record of a living one must stay. */
static void an_interrupt_is_not_the_agents_fault(void **state)
{
	struct fixture *f = *state;
	struct pg_agent_conn *c = NULL;
	struct pg_err err = { .code = 0 };
	pg_loop_interrupt(f->loop, true);
	assert_int_equal(pg_agent_connect(f->loop, &f->platform, &pod, &graft, &c, &err),
			 -ECANCELED);
	assert_int_not_equal(err.whose, PG_TARGET);
	pg_loop_interrupt(f->loop, false);
}

static void a_flood_ends_the_wait(void **state)
{
	struct fixture *f = *state;
	struct pg_agent_conn *c = NULL;
	struct pg_err err = { .code = 0 };
	uint8_t noise[64 << 10] = { 'x' };
	assert_true(send(f->ends[1], noise, sizeof(noise), MSG_DONTWAIT) > 0);
	assert_true(pg_agent_connect(f->loop, &f->platform, &pod, &graft, &c, &err) < 0);
	assert_int_equal(err.whose, PG_TARGET);
}

static void answer(struct fixture *f, const char *status, const char *body)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status,
			 strlen(body), body);
	assert_int_equal(send(f->ends[1], text, (size_t)n, MSG_DONTWAIT), n);
}

/* The agent's key is all zeros here, and its nonce as well. */
static void connect_to_it(struct fixture *f, struct pg_agent_conn **out)
{
	char key[PG_B64_KEY], body[512];
	struct pg_err err = { .code = 0 };
	pg_b64_encode(graft.agent_key, PG_KEY_BYTES, key);
	snprintf(body, sizeof(body),
		 "{\"nonce\":\"%s\",\"agent_key\":\"%s\",\"pod_uid\":\"%s\",\"container\":\"%s\","
		 "\"version\":\"%s\",\"protocol\":%d}",
		 key, key, pod.uid, graft.container, PG_VERSION, PG_PROTOCOL);
	answer(f, "200 OK", body);
	if (pg_agent_connect(f->loop, &f->platform, &pod, &graft, out, &err) < 0)
		fail_msg("%s", err.what);
}

/* A shortage is over some time; who is not let in is not let in the next time either. */
static void a_refusal_that_passes_is_told_from_one_that_does_not(void **state)
{
	static const struct {
		const char *status;
		int want;
	} rows[] = {
		{ "503 Service Unavailable", -EAGAIN },
		{ "429 Too Many Requests", -EAGAIN },
		{ "401 Unauthorized", -EACCES },
		{ "404 Not Found", -EACCES },
	};
	(void)state;
	for (size_t i = 0; i < PG_LEN(rows); i++) {
		void *each;
		struct pg_agent_conn *c;
		struct pg_keys keys;
		struct pg_link *link = NULL;
		struct pg_err err = { .code = 0 };
		assert_int_equal(set_up(&each), 0);
		pg_keys_make(&keys);
		connect_to_it(each, &c);
		answer(each, rows[i].status, "{\"error\":\"no room\",\"hint\":\"make some\"}");
		assert_int_equal(pg_agent_link(c, &keys, pg_session_of_undo, NULL, &link, &err),
				 rows[i].want);
		assert_non_null(strstr(err.what, "no room"));
		assert_string_equal(err.hint, "make some");
		assert_int_equal(err.whose, PG_TARGET);
		assert_int_equal(tear_down(&each), 0);
	}
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		CASE(an_interrupt_is_not_the_agents_fault),
		CASE(a_flood_ends_the_wait),
		cmocka_unit_test(a_refusal_that_passes_is_told_from_one_that_does_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
