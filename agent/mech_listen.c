#include "agent/mech_listen.h"

#include <errno.h>
#include <stdbool.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "proto/base/auto.h"
#include "proto/io/sock.h"

/* More would only wait longer for us; the kernel cuts it to net.core.somaxconn. */
enum { BACKLOG = 4096, PORT_TRIES = 32 };

union any_addr {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
};

static socklen_t fill_address(union any_addr *a, int family, bool loopback, uint16_t port)
{
	*a = (union any_addr){ 0 };
	if (family == AF_INET) {
		a->four = (struct sockaddr_in){
			.sin_family = AF_INET,
			.sin_port = htons(port),
			.sin_addr.s_addr = htonl(loopback ? INADDR_LOOPBACK : INADDR_ANY),
		};
		return sizeof(a->four);
	}
	a->six = (struct sockaddr_in6){
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = loopback ? in6addr_loopback : in6addr_any,
	};
	return sizeof(a->six);
}

static int allow(int fd, int level, int option)
{
	int on = 1;
	return setsockopt(fd, level, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* A listener of `family` on *port, or on a random one when that is 0: its descriptor with *port
 * set, or a negative errno. */
static int listen_on(enum pg_listen_at at, int family, uint16_t *port)
{
	pg_auto_close int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Accepted sockets inherit what follows. A client that vanished is missed by us, as the app
	 * sees us. */
	pg_sock_tune(fd);
	int code = allow(fd, SOL_SOCKET, SO_KEEPALIVE);
	if (code == 0 && family == AF_INET6)
		code = allow(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (code == 0 && at == PG_LISTEN_TRANSPARENT)
		code = family == AF_INET6 ? allow(fd, IPPROTO_IPV6, IPV6_TRANSPARENT)
					  : allow(fd, IPPROTO_IP, IP_TRANSPARENT);
	if (code < 0)
		return code;
	union any_addr a;
	socklen_t len = fill_address(&a, family, at != PG_LISTEN_EVERYWHERE, *port);
	if (bind(fd, &a.any, len) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, &a.any, &len) < 0)
		return -errno;
	*port = ntohs(family == AF_INET6 ? a.six.sin6_port : a.four.sin_port);
	return pg_take_fd(&fd);
}

static bool family_is_missing(int code)
{
	return code == -EAFNOSUPPORT || code == -EADDRNOTAVAIL;
}

/* Both families on one port, which the first one finds: 0, -EADDRINUSE when another try may have
 * more luck, or another negative errno. What is open is in *l in any case. */
static int listen_once(enum pg_listen_at at, struct pg_listeners *l)
{
	static const int families[2] = { AF_INET, AF_INET6 };
	int code = 0;
	for (int i = 0; i < 2; i++) {
		int fd = listen_on(at, families[i], &l->port);
		if (fd >= 0)
			l->fds[i] = fd;
		else if (!family_is_missing(fd))
			return fd;
		else
			code = fd;
	}
	return l->port ? 0 : code;
}

int pg_mech_listen(enum pg_listen_at at, struct pg_listeners *out, struct pg_err *err)
{
	struct pg_listeners l = { .fds = { -1, -1 } };
	int code = -EADDRINUSE;
	for (int i = 0; i < PORT_TRIES && code == -EADDRINUSE; i++) {
		code = listen_once(at, &l);
		if (code < 0)
			pg_mech_unlisten(&l);
	}
	if (code < 0) {
		pg_fail(err, code, "listen for redirected connections");
		return code != -EPERM ? code
				      : pg_hint(err, PG_TARGET,
						"the agent lacks NET_ADMIN: graft it with the "
						"profile 'redirect'");
	}
	*out = l;
	return 0;
}

void pg_mech_unlisten(struct pg_listeners *l)
{
	for (int i = 0; i < 2; i++)
		if (l->fds[i] >= 0)
			close(l->fds[i]);
	*l = (struct pg_listeners){ .fds = { -1, -1 } };
}
