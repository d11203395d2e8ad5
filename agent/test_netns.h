#pragma once
/* For tests of the rules: a "pod" and an "outside" network namespace joined by a veth pair, with
 * the test itself walking between them. Both vanish with the process. Needs root. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/auto.h"
#include "proto/io/sock.h"

#define POD4     "10.77.0.2"
#define POD6     "fd77::2"
#define OUTSIDE4 "10.77.0.1"
#define OUTSIDE6 "fd77::1"

struct netns {
	int pod, outside;
};

/* Runs a program, quietly unless it fails: its exit status. */
PG_UNUSED static int run(const char *const argv[])
{
	pid_t pid = fork();
	if (pid == 0) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	int status = 0;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
#define RUN(...) run((const char *const[]){ __VA_ARGS__, NULL })

/* Runs a line of shell: its exit status. */
PG_UNUSED static int sh(const char *line)
{
	return RUN("sh", "-c", line);
}

PG_UNUSED static void enter(int ns)
{
	if (setns(ns, CLONE_NEWNET) < 0)
		perror("setns");
}

PG_UNUSED static int new_ns(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

#define POD_MAC     "02:00:00:00:00:02"
#define OUTSIDE_MAC "02:00:00:00:00:01"

/* A new link drops packets until the kernel has noticed its carrier, and a new IPv6 address has no
 * route until a worker of the kernel has found the time. */
#define WAIT_FOR_LINK(link) "until ip link show " link " | grep -q 'state UP'; do sleep 0.01; done"
#define WAIT_FOR_ADDRESS(a) \
	"until ip -6 route show table local | grep -q 'local " a " '; do sleep 0.01; done"

/* Makes both namespaces and ends in the pod. Neighbours are given, so that nothing waits for their
 * discovery. 0, or -1 with a message. */
PG_UNUSED static int netns_make(struct netns *ns)
{
	char line[600];
	ns->pod = new_ns();
	ns->outside = new_ns();
	if (ns->pod < 0 || ns->outside < 0)
		return perror("unshare"), -1;
	snprintf(line, sizeof(line),
		 "ip link set lo up && ip link add out0 address " OUTSIDE_MAC
		 " type veth peer name eth0 address " POD_MAC " netns /proc/%d/fd/%d && "
		 "ip addr add " OUTSIDE4 "/24 dev out0 && "
		 "ip addr add " OUTSIDE6 "/64 dev out0 nodad && ip link set out0 up && "
		 "ip neigh add " POD4 " lladdr " POD_MAC " dev out0 && "
		 "ip neigh add " POD6 " lladdr " POD_MAC " dev out0",
		 getpid(), ns->pod);
	if (sh(line) != 0)
		return -1;
	enter(ns->pod);
	if (sh("ip link set lo up && ip addr add " POD4 "/24 dev eth0 && "
	       "ip addr add " POD6 "/64 dev eth0 nodad && ip link set eth0 up && "
	       "ip neigh add " OUTSIDE4 " lladdr " OUTSIDE_MAC " dev eth0 && "
	       "ip neigh add " OUTSIDE6 " lladdr " OUTSIDE_MAC " dev eth0 && "
	       "ip route add default via " OUTSIDE4 " && "
	       "ip -6 route add default via " OUTSIDE6
	       " && " WAIT_FOR_LINK("eth0") " && " WAIT_FOR_ADDRESS(POD6)) != 0)
		return -1;
	enter(ns->outside);
	if (sh(WAIT_FOR_LINK("out0") " && " WAIT_FOR_ADDRESS(OUTSIDE6)) != 0)
		return -1;
	enter(ns->pod);
	return 0;
}

PG_UNUSED static void netns_end(struct netns *ns)
{
	close(ns->pod);
	close(ns->outside);
}

/* A sysctl of the namespace that the test is in. */
PG_UNUSED static int set_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, value, strlen(value));
	if (fd >= 0)
		close(fd);
	return n > 0 ? 0 : -1;
}

PG_UNUSED static int family_of(const char *host)
{
	return strchr(host, ':') ? AF_INET6 : AF_INET;
}

PG_UNUSED static socklen_t sock_address(struct sockaddr_storage *a, const char *host, uint16_t port)
{
	*a = (struct sockaddr_storage){ 0 };
	struct sockaddr_in *four = (struct sockaddr_in *)a;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)a;
	if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		return sizeof(*four);
	}
	inet_pton(AF_INET6, host, &six->sin6_addr);
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	return sizeof(*six);
}

/* pg_addr_text() as an expression. */
PG_UNUSED static const char *sock_text(const struct sockaddr_storage *a, char out[PG_ADDR_TEXT])
{
	pg_addr_text(a, out);
	return out;
}

/* A nonblocking listener, or -1. */
PG_UNUSED static int listen_at(const char *host, uint16_t port)
{
	struct sockaddr_storage a = { 0 };
	int on = 1;
	socklen_t len = sock_address(&a, host, port);
	int fd = socket(family_of(host), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family_of(host) == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 64) == 0)
		return fd;
	perror(host);
	close(fd);
	return -1;
}

/* A connection from `from` (NULL: as the kernel likes) with SO_MARK `mark` unless 0, to `host`: the
 * descriptor, or a negative errno; -ETIMEDOUT after `wait_ms`. */
PG_UNUSED static int dial_as(const char *from, uint32_t mark, const char *host, uint16_t port,
			     int wait_ms)
{
	struct sockaddr_storage a = { 0 };
	socklen_t len = sock_address(&a, host, port);
	int fd = socket(family_of(host), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), code = 0;
	if (mark)
		setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
	if (from) {
		struct sockaddr_storage b = { 0 };
		socklen_t blen = sock_address(&b, from, 0);
		if (bind(fd, (struct sockaddr *)&b, blen) < 0)
			perror("bind");
	}
	if (connect(fd, (struct sockaddr *)&a, len) < 0 && errno == EINPROGRESS) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		socklen_t n = sizeof(code);
		if (poll(&p, 1, wait_ms) != 1)
			code = ETIMEDOUT;
		else
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &n);
	}
	if (code == 0)
		return fd;
	close(fd);
	return -code;
}

PG_UNUSED static int dial(const char *host, uint16_t port)
{
	return dial_as(NULL, 0, host, port, 2000);
}

/* Accepts from the first of `n` listeners (-1: none) that has a connection within a second: its
 * index with *fd, or -1. */
PG_UNUSED static int accept_any(const int *listeners, int n, int *fd)
{
	struct pollfd p[16];
	for (int i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = listeners[i], .events = POLLIN };
	if (poll(p, (nfds_t)n, 1000) <= 0)
		return -1;
	for (int i = 0; i < n; i++) {
		if (!(p[i].revents & POLLIN))
			continue;
		*fd = accept4(listeners[i], NULL, NULL, SOCK_CLOEXEC);
		return *fd >= 0 ? i : -1;
	}
	return -1;
}

/* One byte from `a` to `b`: 0 when it arrives within a second. */
PG_UNUSED static int one_byte(int a, int b)
{
	char c = 0;
	struct pollfd p = { .fd = b, .events = POLLIN };
	if (send(a, "x", 1, MSG_NOSIGNAL) != 1 || poll(&p, 1, 1000) != 1)
		return -1;
	return recv(b, &c, 1, MSG_DONTWAIT) == 1 && c == 'x' ? 0 : -1;
}

/* 0 when the connection carries bytes both ways. */
PG_UNUSED static int alive(int a, int b)
{
	return one_byte(a, b) == 0 && one_byte(b, a) == 0 ? 0 : -1;
}

/* What a line of shell prints, into `out`. Its length. */
PG_UNUSED static size_t printed(const char *line, char *out, size_t cap)
{
	int ends[2];
	size_t n = 0;
	if (pipe(ends) < 0)
		return 0;
	pid_t pid = fork();
	if (pid == 0) {
		dup2(ends[1], 1);
		close(ends[0]);
		close(ends[1]);
		execlp("sh", "sh", "-c", line, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	ssize_t got;
	while (n < cap - 1 && (got = read(ends[0], out + n, cap - 1 - n)) > 0)
		n += (size_t)got;
	out[n] = '\0';
	close(ends[0]);
	waitpid(pid, NULL, 0);
	return n;
}

/* The rule set of the namespace as nft lists it, into `out`. Its length. */
PG_UNUSED static size_t ruleset(char *out, size_t cap)
{
	return printed("nft --stateless list ruleset 2>/dev/null", out,
		       cap); /* it warns of foreign tables */
}
