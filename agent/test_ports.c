#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/ports.h"
#include "proto/base/auto.h"

enum { MAX = 4096 };

/* Opens a socket on a port of the kernel's choice. */
static int open_socket(int family, int type, const char *ipv4, uint16_t *port)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct sockaddr_in a4 = { .sin_family = AF_INET };
	if (ipv4)
		memcpy(&a4.sin_addr, ipv4, 4);
	struct sockaddr *a = family == AF_INET ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6;
	socklen_t len = family == AF_INET ? sizeof(a4) : sizeof(a6);
	int fd = socket(family, type | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, a, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, a, &len), 0);
	*port = ntohs(family == AF_INET ? a4.sin_port : a6.sin6_port);
	return fd;
}

static const struct pg_listening *find(const struct pg_listening *all, size_t count, uint8_t family,
				       uint8_t protocol, uint16_t port)
{
	for (size_t i = 0; i < count; i++)
		if (all[i].family == family && all[i].protocol == protocol && all[i].port == port)
			return &all[i];
	return NULL;
}

static struct kind {
	const char *name;
	int family, type;
	const char *ipv4;
	bool is_loopback;
} kinds[] = {
	{ "list: TCP on IPv4 loopback", AF_INET, SOCK_STREAM, "\x7f\0\0\x01", true },
	{ "list: TCP on another loopback address", AF_INET, SOCK_STREAM, "\x7f\0\0\x07", true },
	{ "list: TCP on every address", AF_INET, SOCK_STREAM, "\0\0\0\0", false },
	{ "list: TCP on IPv6 loopback", AF_INET6, SOCK_STREAM, NULL, true },
	{ "list: UDP on IPv4", AF_INET, SOCK_DGRAM, "\0\0\0\0", false },
	{ "list: UDP on IPv6", AF_INET6, SOCK_DGRAM, NULL, true },
};

/* The kernel is asked for what we just opened. */
static void lists(void **state)
{
	static struct pg_listening all[MAX];
	const struct kind *k = *state;
	struct pg_err err;
	struct stat st;
	uint16_t port;
	size_t count = 0;
	int fd = open_socket(k->family, k->type, k->ipv4, &port);
	assert_int_equal(pg_ports_list(all, MAX, &count, &err), 0);
	const struct pg_listening *l =
		find(all, count, k->family == AF_INET ? 4 : 6,
		     k->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP, port);
	assert_non_null(l);
	assert_int_equal(pg_listening_is_loopback(l), k->is_loopback);
	assert_int_equal(l->uid, getuid());
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(l->inode, st.st_ino);
	close(fd);
	assert_int_equal(pg_ports_list(all, MAX, &count, &err), 0);
	assert_null(find(all, count, k->family == AF_INET ? 4 : 6,
			 k->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP, port));
}

static void keeps_to_its_room(void **state)
{
	(void)state;
	struct pg_listening all[2] = { 0 };
	struct pg_err err;
	uint16_t port;
	size_t count = 0;
	int a = open_socket(AF_INET, SOCK_STREAM, "\x7f\0\0\x01", &port);
	int b = open_socket(AF_INET, SOCK_STREAM, "\x7f\0\0\x01", &port);
	assert_int_equal(pg_ports_list(all, 1, &count, &err), 0);
	assert_int_equal(count, 1);
	assert_int_equal(all[1].family, 0);
	close(a);
	close(b);
}

/* One message with a socket at IPv4-mapped 127.0.0.1:80, one that ends the list. */
struct reading {
	struct nlmsghdr h;
	struct inet_diag_msg m;
	struct nlmsghdr end;
	int code;
};

static struct reading good(void)
{
	struct reading r = { 0 };
	r.h.nlmsg_len = sizeof(r.h) + sizeof(r.m);
	r.h.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	r.m.idiag_family = AF_INET6;
	r.m.id.idiag_sport = htons(80);
	r.m.id.idiag_src[2] = htonl(0xffff);
	r.m.id.idiag_src[3] = htonl(INADDR_LOOPBACK);
	r.end.nlmsg_len = sizeof(r.end) + sizeof(r.code);
	r.end.nlmsg_type = NLMSG_DONE;
	return r;
}

static int parse(const struct reading *r, size_t n, struct pg_listening *out, size_t *count)
{
	*count = 0;
	return pg_ports_parse((const uint8_t *)r, n, IPPROTO_TCP, out, 1, count);
}

static void parses(void **state)
{
	(void)state;
	struct pg_listening l;
	size_t count;
	struct reading r = good();
	assert_int_equal(parse(&r, sizeof(r), &l, &count), 1);
	assert_int_equal(count, 1);
	assert_int_equal(l.family, 4);
	assert_int_equal(l.port, 80);
	assert_true(pg_listening_is_loopback(&l));
	assert_int_equal(parse(&r, offsetof(struct reading, end), &l, &count), 0);
	assert_int_equal(parse(&r, 0, &l, &count), 0);
}

static void refuses_what_no_kernel_says(void **state)
{
	(void)state;
	struct pg_listening l;
	size_t count;
	struct reading r = good();
	for (size_t n = 1; n < sizeof(r.h) + sizeof(r.m); n++)
		assert_int_equal(parse(&r, n, &l, &count), -EPROTO);
	r.h.nlmsg_len = sizeof(r.h) + 4;
	assert_int_equal(parse(&r, sizeof(r), &l, &count), -EPROTO);
	r.h.nlmsg_len = 3;
	assert_int_equal(parse(&r, sizeof(r), &l, &count), -EPROTO);
	r = good();
	r.m.idiag_family = AF_UNIX;
	assert_int_equal(parse(&r, sizeof(r), &l, &count), -EPROTO);
	r = good();
	r.end.nlmsg_type = NLMSG_ERROR;
	r.code = -EPERM;
	assert_int_equal(parse(&r, sizeof(r), &l, &count), -EPERM);
	r.code = 1;
	assert_int_equal(parse(&r, sizeof(r), &l, &count), -EPROTO);
}

int main(void)
{
	struct CMUnitTest tests[3 + PG_LEN(kinds)] = {
		cmocka_unit_test(keeps_to_its_room),
		cmocka_unit_test(parses),
		cmocka_unit_test(refuses_what_no_kernel_says),
	};
	for (size_t i = 0; i < PG_LEN(kinds); i++)
		tests[3 + i] = (struct CMUnitTest){ kinds[i].name, lists, NULL, NULL, &kinds[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
