#include "injector/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>
#include <uv.h>

#include "proto/io/sock.h"

static void count(void *ctx)
{
	++*(int *)ctx;
}

static void turn(struct pg_loop *loop, uint64_t ms)
{
	const bool never = false;
	uv_update_time(pg_loop_uv(loop));
	pg_loop_wait(loop, &never, pg_loop_now_ms(loop) + ms);
}

static void finds_who_listens_later_and_says_so_again(void **state)
{
	struct sockaddr_storage at;
	const uint8_t loopback[4] = { 127, 0, 0, 1 };
	socklen_t len = sizeof(at);
	struct pg_err err = { 0 };
	struct pg_loop *loop = pg_loop_new(&err);
	int found = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)state;
	pg_addr_set(&at, loopback, 4, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, pg_addr_len(&at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	struct pg_probe *p = pg_probe_new(loop, &at, count, &found);
	assert_non_null(p);
	turn(loop, 1200);
	assert_int_equal(found, 0);
	assert_int_equal(listen(fd, 16), 0);
	for (int i = 0; i < 100 && found < 2; i++)
		turn(loop, 50);
	assert_true(found >= 2); /* a loop that was held up says it twice in one turn */
	pg_probe_free(p);
	pg_loop_free(loop);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_who_listens_later_and_says_so_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
