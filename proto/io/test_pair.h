#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "proto/io/loop.h"
#include "proto/io/sock.h"

/* Real TCP sockets on loopback for the tests of this folder. */

/* A listening socket on 127.0.0.1 with a port of the kernel's choice; its address in *at. */
static inline int tcp_listen(struct sockaddr_storage *at)
{
	const uint8_t loopback[4] = { 127, 0, 0, 1 };
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pg_addr_set(at, loopback, 4, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)at, pg_addr_len(at)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
	return fd;
}

/* Two ends of one TCP connection, both prepared. */
static inline void tcp_pair(int *a, int *b)
{
	struct sockaddr_storage at;
	int listener = tcp_listen(&at);
	*a = pg_sock_connect((struct sockaddr *)&at, 0);
	assert_true(*a >= 0);
	*b = accept(listener, NULL, NULL);
	assert_true(*b >= 0);
	assert_int_equal(pg_sock_prepare(*b), 0);
	close(listener);
}

/* Turns the loop for `ms`. */
static inline void turn(struct pg_loop *loop, uint64_t ms)
{
	const bool never = false;
	uv_update_time(pg_loop_uv(loop));
	pg_loop_wait(loop, &never, pg_loop_now_ms(loop) + ms);
}

/* What recv(2) says now: bytes, 0 at the end, or -errno. */
static inline ssize_t take(int fd, void *p, size_t n)
{
	ssize_t got = recv(fd, p, n, MSG_DONTWAIT);
	return got < 0 ? -errno : got;
}

/* Turns the loop until `fd` has something to say, a second at most; then as take(). */
static inline ssize_t await(struct pg_loop *loop, int fd, void *p, size_t n)
{
	ssize_t got = -EAGAIN;
	for (int i = 0; i < 200 && got == -EAGAIN; i++) {
		turn(loop, 5);
		got = take(fd, p, n);
	}
	return got;
}
