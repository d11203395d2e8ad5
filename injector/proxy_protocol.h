#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* The PROXY protocol's header (haproxy.org, proxy-protocol.txt of 2017): what a connection's local
 * program is told before its first byte. Pure. */
enum pg_proxy_version { PG_PROXY_OFF, PG_PROXY_V1, PG_PROXY_V2 };

enum { PG_PROXY_HEADER_MAX = 108 }; /* v1 has at most 107 bytes, v2 has 52 here */

/* Writes the header of a TCP connection from `source` to `destination` and returns its length, 0
 * for PG_PROXY_OFF. Two IPv4 addresses, mapped ones among them, are told as IPv4; else both are
 * told as IPv6. Both must be of one of these families (asserted). */
size_t pg_proxy_header(enum pg_proxy_version version, const struct sockaddr_storage *source,
		       const struct sockaddr_storage *destination,
		       uint8_t out[PG_PROXY_HEADER_MAX]);
