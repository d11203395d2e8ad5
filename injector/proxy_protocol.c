#include "injector/proxy_protocol.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/num.h"
#include "proto/io/sock.h"

enum {
	V2_VERSION_PROXY = 0x21, /* version 2, command PROXY */
	V2_TCP4 = 0x11,
	V2_TCP6 = 0x21,
};

static const uint8_t v2_signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
					  0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

struct end {
	uint8_t bytes[16];
	int n; /* of them, 4 or 16 */
	uint16_t port;
};

static struct end end_of(const struct sockaddr_storage *a)
{
	struct end e = { .n = 0 };
	e.n = pg_addr_bytes(a, e.bytes, &e.port);
	assert(e.n == 4 || e.n == 16);
	return e;
}

/* An IPv4 address as the IPv6 address that stands for it. */
static void map(struct end *e)
{
	if (e->n == 16)
		return;
	memcpy(e->bytes + 12, e->bytes, 4);
	memset(e->bytes, 0, 10);
	memset(e->bytes + 10, 0xff, 2);
	e->n = 16;
}

static size_t write_v1(const struct end *from, const struct end *to, uint8_t *out)
{
	char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];
	int family = from->n == 4 ? AF_INET : AF_INET6;
	inet_ntop(family, from->bytes, a, sizeof(a));
	inet_ntop(family, to->bytes, b, sizeof(b));
	int n = snprintf((char *)out, PG_PROXY_HEADER_MAX, "PROXY %s %s %s %u %u\r\n",
			 from->n == 4 ? "TCP4" : "TCP6", a, b, from->port, to->port);
	assert(n > 0 && n < PG_PROXY_HEADER_MAX);
	return (size_t)n;
}

static size_t write_v2(const struct end *from, const struct end *to, uint8_t *out)
{
	uint8_t *at = out;
	size_t n = (size_t)from->n;
	memcpy(at, v2_signature, sizeof(v2_signature));
	at += sizeof(v2_signature);
	*at++ = V2_VERSION_PROXY;
	*at++ = n == 4 ? V2_TCP4 : V2_TCP6;
	pg_put_be16(at, (uint16_t)(2 * n + 4));
	memcpy(at + 2, from->bytes, n);
	memcpy(at + 2 + n, to->bytes, n);
	at += 2 + 2 * n;
	pg_put_be16(at, from->port);
	pg_put_be16(at + 2, to->port);
	return (size_t)(at + 4 - out);
}

size_t pg_proxy_header(enum pg_proxy_version version, const struct sockaddr_storage *source,
		       const struct sockaddr_storage *destination, uint8_t out[PG_PROXY_HEADER_MAX])
{
	if (version == PG_PROXY_OFF)
		return 0;
	struct end from = end_of(source), to = end_of(destination);
	if (from.n != to.n) {
		map(&from);
		map(&to);
	}
	return version == PG_PROXY_V1 ? write_v1(&from, &to, out) : write_v2(&from, &to, out);
}
