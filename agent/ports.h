#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

/* Listening sockets of this network namespace, asked of the kernel by sock_diag(7). */
struct pg_listening {
	uint8_t family;   /* 4 or 6; an IPv4-mapped address counts as IPv4 */
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t address[16];
	uint16_t port;
	uint32_t uid;
	uint32_t inode;
};

/* Up to `max` of them, TCP first: *count_out. UDP sockets count as listening when they are bound
 * and not connected. Needs no capability. */
int pg_ports_list(struct pg_listening *out, size_t max, size_t *count_out, struct pg_err *err);

/* Adds the sockets in one read from the kernel, `n` bytes at `p`, to the `*count` in `out`; what
 * exceeds `max` is left out. 0: more will come; 1: that was all; -errno as the kernel says it, or
 * -EPROTO. Pure. */
int pg_ports_parse(const uint8_t *p, size_t n, uint8_t protocol, struct pg_listening *out,
		   size_t max, size_t *count);

/* True for 127.0.0.0/8 and ::1. */
bool pg_listening_is_loopback(const struct pg_listening *l);
