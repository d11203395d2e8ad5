#include "injector/proxy_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "proto/base/auto.h"

#define BYTES(s)  s, sizeof(s) - 1
#define SIGNATURE "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
#define FULL      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"
#define FULL_16   "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"

struct header_case {
	const char *name;
	enum pg_proxy_version version;
	const char *from;
	uint16_t from_port;
	const char *to;
	uint16_t to_port;
	const char *bytes;
	size_t n;
};

static struct header_case cases[] = {
	{ "off", PG_PROXY_OFF, "10.0.0.1", 1, "10.0.0.2", 2, BYTES("") },
	{ "v1 IPv4", PG_PROXY_V1, "10.244.0.7", 43210, "10.96.0.12", 5432,
	  BYTES("PROXY TCP4 10.244.0.7 10.96.0.12 43210 5432\r\n") },
	{ "v1 IPv6", PG_PROXY_V1, "fd00::7", 65535, "fd00:96::c", 1,
	  BYTES("PROXY TCP6 fd00::7 fd00:96::c 65535 1\r\n") },
	{ "v1 at its longest", PG_PROXY_V1, FULL, 65535, FULL, 65535,
	  BYTES("PROXY TCP6 " FULL " " FULL " 65535 65535\r\n") },
	{ "v1 mapped is IPv4", PG_PROXY_V1, "::ffff:10.0.0.1", 1, "::ffff:10.0.0.2", 2,
	  BYTES("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n") },
	{ "v1 mixed is IPv6", PG_PROXY_V1, "10.0.0.1", 1, "fd00::2", 2,
	  BYTES("PROXY TCP6 ::ffff:10.0.0.1 fd00::2 1 2\r\n") },
	{ "v1 mixed the other way", PG_PROXY_V1, "fd00::1", 1, "10.0.0.2", 2,
	  BYTES("PROXY TCP6 fd00::1 ::ffff:10.0.0.2 1 2\r\n") },
	{ "v2 IPv4", PG_PROXY_V2, "10.244.0.7", 43210, "10.96.0.12", 5432,
	  BYTES(SIGNATURE "\x21\x11\x00\x0c\x0a\xf4\x00\x07\x0a\x60\x00\x0c\xa8\xca\x15\x38") },
	{ "v2 IPv6", PG_PROXY_V2, FULL, 258, "::1", 772,
	  BYTES(SIGNATURE "\x21\x21\x00\x24" FULL_16
			  "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
			  "\x01\x02\x03\x04") },
	{ "v2 mapped is IPv4", PG_PROXY_V2, "::ffff:10.0.0.1", 1, "10.0.0.2", 2,
	  BYTES(SIGNATURE "\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x00\x01\x00\x02") },
	{ "v2 mixed is IPv6", PG_PROXY_V2, "10.0.0.1", 1, "::1", 2,
	  BYTES(SIGNATURE "\x21\x21\x00\x24"
			  "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x01"
			  "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
			  "\x00\x01\x00\x02") },
};

static struct sockaddr_storage address(const char *text, uint16_t port)
{
	struct sockaddr_storage a = { 0 };
	struct sockaddr_in *four = (struct sockaddr_in *)&a;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&a;
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
	}
	return a;
}

static void encodes(void **state)
{
	const struct header_case *c = *state;
	struct sockaddr_storage from = address(c->from, c->from_port);
	struct sockaddr_storage to = address(c->to, c->to_port);
	uint8_t out[PG_PROXY_HEADER_MAX];
	assert_int_equal(pg_proxy_header(c->version, &from, &to, out), c->n);
	assert_memory_equal(out, c->bytes, c->n);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases)] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, encodes, NULL, NULL, &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
