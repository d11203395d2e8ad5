#include "proto/io/sock.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/auto.h"

int pg_sock_prepare(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	pg_sock_tune(fd);
	return 0;
}

void pg_sock_tune(int fd)
{
	const int on = 1;
	/* A peer that is gone already makes this fail with EINVAL; reading will tell. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
}

bool pg_sock_is_connected(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	return poll(&p, 1, 0) == 1 && p.revents == POLLOUT;
}

void pg_sock_close_reset(int fd)
{
	const struct linger now = { .l_onoff = 1 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

int pg_sock_error(int fd)
{
	int code = 0;
	socklen_t len = sizeof(code);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		return -errno;
	return -code;
}

#ifdef SO_MARK
static int set_mark(int fd, uint32_t mark)
{
	return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0 ? -errno : 0;
}
#else
static int set_mark(int fd, uint32_t mark)
{
	(void)fd;
	(void)mark;
	return -ENOTSUP;
}
#endif

/* Prepared: a descriptor, or a negative errno. */
#ifdef SOCK_NONBLOCK
static int new_socket(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	pg_sock_tune(fd);
	return fd;
}
#else
static int new_socket(int family)
{
	pg_auto_close int fd = socket(family, SOCK_STREAM, 0);
	if (fd < 0)
		return -errno;
	int rc = pg_sock_prepare(fd);
	return rc < 0 ? rc : pg_take_fd(&fd);
}
#endif

int pg_sock_connect(const struct sockaddr *to, uint32_t mark)
{
	pg_auto_close int fd = new_socket(to->sa_family);
	if (fd < 0)
		return fd;
	int rc = 0;
	if (mark != 0)
		rc = set_mark(fd, mark);
	if (rc < 0)
		return rc;
	socklen_t len =
		to->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	if (connect(fd, to, len) < 0 && errno != EINPROGRESS)
		return -errno;
	return pg_take_fd(&fd);
}

int pg_addr_bytes(const struct sockaddr_storage *a, uint8_t *bytes, uint16_t *port)
{
	if (a->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)a;
		memcpy(bytes, &in->sin_addr, 4);
		*port = ntohs(in->sin_port);
		return 4;
	}
	if (a->ss_family != AF_INET6)
		return 0;
	const struct sockaddr_in6 *in6 = (const void *)a;
	*port = ntohs(in6->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		memcpy(bytes, in6->sin6_addr.s6_addr + 12, 4);
		return 4;
	}
	memcpy(bytes, &in6->sin6_addr, 16);
	return 16;
}

void pg_addr_set(struct sockaddr_storage *a, const uint8_t *bytes, int n, uint16_t port)
{
	assert(n == 4 || n == 16);
	memset(a, 0, sizeof(*a));
	if (n == 4) {
		struct sockaddr_in *in = (void *)a;
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, bytes, 4);
		return;
	}
	struct sockaddr_in6 *in6 = (void *)a;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, bytes, 16);
}

socklen_t pg_addr_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

void pg_addr_text(const struct sockaddr_storage *a, char out[PG_ADDR_TEXT])
{
	uint8_t bytes[16];
	uint16_t port;
	char host[INET6_ADDRSTRLEN] = "?";
	int n = pg_addr_bytes(a, bytes, &port);
	if (n == 0)
		snprintf(out, PG_ADDR_TEXT, "?");
	else
		snprintf(out, PG_ADDR_TEXT, n == 4 ? "%s:%u" : "[%s]:%u",
			 inet_ntop(n == 4 ? AF_INET : AF_INET6, bytes, host, sizeof(host)), port);
}
