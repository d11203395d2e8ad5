#include "agent/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "proto/base/auto.h"

enum { READ_SIZE = 32 << 10, PATIENCE_S = 2 };

bool pg_listening_is_loopback(const struct pg_listening *l)
{
	static const uint8_t ipv6_loopback[16] = { [15] = 1 };
	if (l->family == 4)
		return l->address[0] == 127;
	return memcmp(l->address, ipv6_loopback, sizeof(ipv6_loopback)) == 0;
}

/* --- reading what the kernel says --- */

static void set_address(struct pg_listening *l, uint8_t family, const uint8_t bytes[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	if (family == AF_INET6 && memcmp(bytes, mapped, sizeof(mapped)) != 0) {
		l->family = 6;
		memcpy(l->address, bytes, 16);
		return;
	}
	l->family = 4;
	memcpy(l->address, family == AF_INET6 ? bytes + sizeof(mapped) : bytes, 4);
}

static int take_socket(const uint8_t *p, size_t n, uint8_t protocol, struct pg_listening *out)
{
	struct inet_diag_msg m;
	uint8_t address[16];
	if (n < sizeof(m))
		return -EPROTO;
	memcpy(&m, p, sizeof(m));
	if (m.idiag_family != AF_INET && m.idiag_family != AF_INET6)
		return -EPROTO;
	memcpy(address, m.id.idiag_src, sizeof(address));
	*out = (struct pg_listening){ .protocol = protocol,
				      .port = ntohs(m.id.idiag_sport),
				      .uid = m.idiag_uid,
				      .inode = m.idiag_inode };
	set_address(out, m.idiag_family, address);
	return 0;
}

static int error_of(const uint8_t *p, size_t n)
{
	int code;
	if (n < sizeof(code))
		return -EPROTO;
	memcpy(&code, p, sizeof(code));
	return code < 0 && code >= -4095 ? code : -EPROTO;
}

int pg_ports_parse(const uint8_t *p, size_t n, uint8_t protocol, struct pg_listening *out,
		   size_t max, size_t *count)
{
	while (n >= NLMSG_HDRLEN) {
		struct nlmsghdr h;
		struct pg_listening l;
		memcpy(&h, p, sizeof(h));
		if (h.nlmsg_len < NLMSG_HDRLEN || h.nlmsg_len > n)
			return -EPROTO;
		size_t body = h.nlmsg_len - NLMSG_HDRLEN;
		if (h.nlmsg_type == NLMSG_DONE)
			return 1;
		if (h.nlmsg_type == NLMSG_ERROR)
			return error_of(p + NLMSG_HDRLEN, body);
		if (h.nlmsg_type == SOCK_DIAG_BY_FAMILY) {
			int rc = take_socket(p + NLMSG_HDRLEN, body, protocol, &l);
			if (rc < 0)
				return rc;
			if (*count < max)
				out[(*count)++] = l;
		}
		size_t step = NLMSG_ALIGN(h.nlmsg_len);
		if (step >= n)
			return 0;
		p += step;
		n -= step;
	}
	return n == 0 ? 0 : -EPROTO;
}

/* --- asking it --- */

static int send_request(int fd, uint8_t family, uint8_t protocol)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 rq;
	} m = { 0 };
	m.h.nlmsg_len = sizeof(m);
	m.h.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	m.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	m.rq.sdiag_family = family;
	m.rq.sdiag_protocol = protocol;
	/* A bound UDP socket that is not connected is in the state CLOSE. */
	m.rq.idiag_states = 1u << (protocol == IPPROTO_TCP ? TCP_LISTEN : TCP_CLOSE);
	return send(fd, &m, sizeof(m), 0) < 0 ? -errno : 0;
}

static int list_kind(int fd, uint8_t family, uint8_t protocol, struct pg_listening *out, size_t max,
		     size_t *count)
{
	uint8_t buf[READ_SIZE];
	int rc = send_request(fd, family, protocol);
	while (rc == 0) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0 && errno == EINTR)
			continue;
		rc = n < 0 ? -errno : pg_ports_parse(buf, (size_t)n, protocol, out, max, count);
	}
	return rc > 0 ? 0 : rc;
}

int pg_ports_list(struct pg_listening *out, size_t max, size_t *count_out, struct pg_err *err)
{
	static const struct {
		uint8_t family, protocol;
	} kinds[] = { { AF_INET, IPPROTO_TCP },
		      { AF_INET6, IPPROTO_TCP },
		      { AF_INET, IPPROTO_UDP },
		      { AF_INET6, IPPROTO_UDP } };
	size_t count = 0;
	struct timeval patience = { .tv_sec = PATIENCE_S };
	pg_auto_close int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return pg_fail(err, -errno, "ask the kernel for listening sockets");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (size_t i = 0; i < PG_LEN(kinds); i++) {
		int rc = list_kind(fd, kinds[i].family, kinds[i].protocol, out, max, &count);
		/* -ENOENT: this kernel has no such protocol, so nobody listens there. Without
		 * diagnosis of TCP over IPv4 we know nothing at all. */
		if (rc < 0 && (rc != -ENOENT || i == 0))
			return pg_fail(err, rc, "list listening sockets");
	}
	*count_out = count;
	return 0;
}
