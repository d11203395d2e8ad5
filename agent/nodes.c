#include "agent/nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"

enum { ROUTES_MAX = 64 << 10, LINE_BYTES = 256 };

void pg_nodes_add(struct pg_nodes *nodes, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < nodes->count; i++)
		if (nodes->length[i] == n && memcmp(nodes->bytes[i], bytes, n) == 0)
			return;
	if (nodes->count == PG_NODES_ROOM || (n != 4 && n != 16))
		return;
	memcpy(nodes->bytes[nodes->count], bytes, n);
	nodes->length[nodes->count++] = (uint8_t)n;
}

bool pg_nodes_have(const struct pg_nodes *nodes, const struct sockaddr_storage *address)
{
	uint8_t bytes[16];
	uint16_t port;
	int n = pg_addr_bytes(address, bytes, &port);
	for (size_t i = 0; i < nodes->count; i++)
		if (nodes->length[i] == n && memcmp(nodes->bytes[i], bytes, (size_t)n) == 0)
			return true;
	return false;
}

/* Copies the next line, without its end, and moves *at past it. False at the end. */
static bool next_line(const char *text, size_t n, size_t *at, char line[LINE_BYTES])
{
	if (*at >= n)
		return false;
	const char *end = memchr(text + *at, '\n', n - *at);
	size_t len = end ? (size_t)(end - text) - *at : n - *at;
	size_t kept = len < LINE_BYTES ? len : LINE_BYTES - 1;
	memcpy(line, text + *at, kept);
	line[kept] = '\0';
	*at += len + 1;
	return true;
}

void pg_nodes_add_routes4(struct pg_nodes *nodes, const char *text, size_t n)
{
	char line[LINE_BYTES];
	for (size_t at = 0; next_line(text, n, &at, line);) {
		uint32_t to, gateway, mask; /* in network order, as the kernel has them in memory */
		unsigned flags;
		uint8_t bytes[4];
		if (sscanf(line, "%*31s %8x %8x %8x %*u %*u %*u %8x", &to, &gateway, &flags,
			   &mask) != 4 ||
		    to != 0 || mask != 0 || !(flags & RTF_GATEWAY))
			continue;
		memcpy(bytes, &gateway, sizeof(bytes));
		pg_nodes_add(nodes, bytes, sizeof(bytes));
	}
}

void pg_nodes_add_routes6(struct pg_nodes *nodes, const char *text, size_t n)
{
	static const char anywhere[] = "00000000000000000000000000000000";
	char line[LINE_BYTES];
	for (size_t at = 0; next_line(text, n, &at, line);) {
		char to[33], gateway[33];
		unsigned prefix, flags;
		uint8_t bytes[16];
		if (sscanf(line, "%32s %2x %*32s %*2x %32s %*8x %*8x %*8x %8x", to, &prefix,
			   gateway, &flags) != 4 ||
		    prefix != 0 || strcmp(to, anywhere) != 0 || !(flags & RTF_GATEWAY) ||
		    strspn(gateway, "0123456789abcdef") != 32)
			continue;
		for (int i = 0; i < 16; i++)
			sscanf(gateway + 2 * i, "%2hhx", &bytes[i]);
		pg_nodes_add(nodes, bytes, sizeof(bytes));
	}
}

static void add_file(struct pg_nodes *nodes, const char *path,
		     void (*add)(struct pg_nodes *nodes, const char *text, size_t n))
{
	pg_auto_free char *text = pg_calloc(ROUTES_MAX, 1);
	pg_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got = 1;
	while (text && fd >= 0 && n < ROUTES_MAX && got > 0) {
		got = read(fd, text + n, ROUTES_MAX - n);
		n += got > 0 ? (size_t)got : 0;
	}
	if (n > 0)
		add(nodes, text, n);
}

void pg_nodes_add_gateways(struct pg_nodes *nodes)
{
	add_file(nodes, "/proc/net/route", pg_nodes_add_routes4);
	add_file(nodes, "/proc/net/ipv6_route", pg_nodes_add_routes6);
}
