#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Addresses that the kubelet's probes may come from: the node's own, as the laptop names them, and
 * those of the pod's default gateways, for a node reaches its pods from the bridge between them. */

enum { PG_NODES_ROOM = 24 };

struct pg_nodes {
	uint8_t bytes[PG_NODES_ROOM][16];
	uint8_t length[PG_NODES_ROOM]; /* 4 or 16 */
	size_t count;
};

/* Adds an address of `n` (4 or 16) bytes; what is there already, or exceeds the room, is left out.
 */
void pg_nodes_add(struct pg_nodes *nodes, const uint8_t *bytes, size_t n);

bool pg_nodes_have(const struct pg_nodes *nodes, const struct sockaddr_storage *address);

/* Add the gateways of the default routes in /proc/net/route and /proc/net/ipv6_route (proc(5)).
 * Texts need no NUL; lines that are no such route are passed over. Pure. */
void pg_nodes_add_routes4(struct pg_nodes *nodes, const char *text, size_t n);
void pg_nodes_add_routes6(struct pg_nodes *nodes, const char *text, size_t n);

/* Both, of this network namespace. What cannot be read is left out. */
void pg_nodes_add_gateways(struct pg_nodes *nodes);
