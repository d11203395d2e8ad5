#include "injector/agent_api.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/io/lane_sock.h"

/* The lane is a socket pair; its other end is an agent that says nothing, or too much. */

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
static const struct pg_pod pod = { .name = "web", .ns = "default" };
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

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		CASE(an_interrupt_is_not_the_agents_fault),
		CASE(a_flood_ends_the_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
