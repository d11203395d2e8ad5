/* What a service mesh puts beside an app: a proxy that the pod's own rules lead connections to. It
 * dials where they were going, and "seals" what it sends to others, as a mesh does by TLS: each
 * byte is turned by 0x55, so a test sees which leg of a connection it has before it.
 *
 *   sidecar IN OUT [FROM4 FROM6]
 *
 * listens on port IN for what comes to the pod and on OUT for what leaves it; FROM4 and FROM6 are
 * the addresses from which the app is dialled. Each connection has a process of its own. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "e2e/peers/util.h"

#ifndef SO_ORIGINAL_DST
#define SO_ORIGINAL_DST 80 /* linux/netfilter_ipv4.h, which clashes with netinet */
#endif

enum { SEAL = 0x55, LISTENERS = 4 };

struct from {
	const char *four, *six; /* NULL: as the kernel likes */
};

static int fail(const char *what)
{
	fprintf(stderr, "sidecar: %s: %s\n", what, strerror(errno));
	return 1;
}

static int listen_on(int family, const char *port)
{
	struct address a;
	int on = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || !address_parse(family == AF_INET ? "0.0.0.0" : "::", port, &a))
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a.store, a.len) == 0 && listen(fd, 128) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Dials where `client` was going; the descriptor, or -1. */
static int dial_on(int client, const struct from *from)
{
	struct address to = { .len = sizeof(to.store) }, own;
	struct sockaddr_storage here = { 0 };
	socklen_t len = sizeof(here);

	getsockname(client, (struct sockaddr *)&here, &len);
	bool six = here.ss_family == AF_INET6;
	const char *source = six ? from->six : from->four;
	if (getsockopt(client, six ? IPPROTO_IPV6 : IPPROTO_IP, SO_ORIGINAL_DST, &to.store,
		       &to.len) < 0)
		return -1; /* it was not led here */
	int fd = socket(to.store.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (source &&
	    (!address_parse(source, "0", &own) || bind(fd, (struct sockaddr *)&own.store, own.len)))
		return fail(source), -1;
	if (connect(fd, (struct sockaddr *)&to.store, to.len) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Passes on what there is, turned; at its end the end. False: nothing more will come. */
static bool pass(int from, int to)
{
	uint8_t bytes[16384];
	ssize_t n = recv(from, bytes, sizeof(bytes), 0);

	for (ssize_t i = 0; i < n; i++)
		bytes[i] ^= SEAL;
	if (n > 0 && send_all(to, bytes, (size_t)n) == 0)
		return true;
	shutdown(to, SHUT_WR);
	return false;
}

static void relay(int a, int b)
{
	struct pollfd ends[2] = { { .fd = a, .events = POLLIN }, { .fd = b, .events = POLLIN } };

	while ((ends[0].fd >= 0 || ends[1].fd >= 0) && poll(ends, 2, -1) > 0)
		for (int i = 0; i < 2; i++)
			if (ends[i].fd >= 0 && ends[i].revents && !pass(i ? b : a, i ? a : b))
				ends[i].fd = -1;
}

static void serve(int listener, const struct from *from)
{
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (client >= 0 && fork() == 0) {
		int far = dial_on(client, from);
		if (far >= 0)
			relay(client, far);
		_exit(0);
	}
	if (client >= 0)
		close(client);
}

int main(int argc, char **argv)
{
	static const struct from anywhere;
	struct from app = { argc > 3 ? argv[3] : NULL, argc > 4 ? argv[4] : NULL };
	struct pollfd all[LISTENERS];

	if (argc < 3)
		return fputs("usage: sidecar IN OUT [FROM4 FROM6]\n", stderr), 2;
	for (int i = 0; i < LISTENERS; i++) {
		all[i] = (struct pollfd){ .events = POLLIN };
		all[i].fd = listen_on(i & 1 ? AF_INET6 : AF_INET, argv[1 + i / 2]);
		if (all[i].fd < 0)
			return fail("listen");
	}
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	while (poll(all, LISTENERS, -1) >= 0 || errno == EINTR)
		for (int i = 0; i < LISTENERS; i++)
			if (all[i].revents)
				serve(all[i].fd, i < 2 ? &app : &anywhere);
	return fail("poll");
}
