#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "agent/nft_table.h"

/* How connections are taken: one of the ways below, chosen by rules.c for what the pod has. A
 * mechanism writes constant rules once; a redirect is then nothing but its port in some sets. */

/* The ways into the pod's ports. Each has a set of its own, by the name that pg_path_name() tells:
 * a port is in the sets of those ways on which its connections are taken. */
enum pg_path {
	PG_PATH_INBOUND = 1 << 0,  /* from outside, before any NAT of the pod's own */
	PG_PATH_BEHIND = 1 << 1,   /* from outside, what the pod's own NAT let pass */
	PG_PATH_LOCAL = 1 << 2,    /* from inside, less the mesh's proxy */
	PG_PATH_PROXY = 1 << 3,    /* from the mesh's proxy: the plaintext leg */
	PG_PATH_OUTGOING = 1 << 4, /* to others, see rules_out.h */
	/* None: no rule looks there. It is the lease of what is parked, for other agents to see. */
	PG_PATH_PARKED = 1 << 5,
	PG_PATH_PARKED_OUTGOING = 1 << 6,
	PG_PATH_END = 1 << 7,

	PG_PATHS_INCOMING =
		PG_PATH_INBOUND | PG_PATH_BEHIND | PG_PATH_LOCAL | PG_PATH_PROXY | PG_PATH_PARKED,
	PG_PATHS_OUTGOING = PG_PATH_OUTGOING | PG_PATH_PARKED_OUTGOING
};
const char *pg_path_name(enum pg_path path);

/* Sets of the ports of our listeners, which nobody may dial but by a redirect; with leases as well,
 * so that the shield of an agent that is gone does not turn away who has such a port next. */
#define PG_SHIELD_SET          "shield"
#define PG_SHIELD_OUTGOING_SET "outgoing-shield"

/* The pod's own NAT, as far as it matters here. */
struct pg_pod_nat {
	bool present; /* NAT of incoming or outgoing connections, perhaps empty */
	/* It is a mesh's: connections pass its proxy, which listens here for those that come to the
	 * pod. 0: there is no mesh. */
	uint16_t proxy_in;
};

/* The uids of the proxies of Istio and Linkerd. */
enum { PG_UID_ISTIO = 1337, PG_UID_LINKERD = 2102 };

struct pg_listeners {
	int fds[2];    /* IPv4, IPv6; -1: the pod lacks the family */
	uint16_t port; /* of both */
};

struct pg_mech {
	const char *name;
	bool transparent; /* listeners: on loopback, for any address; else on every address */

	/* The ways this mechanism has in a pod with that NAT. */
	unsigned (*paths)(const struct pg_pod_nat *nat);

	/* Adds chains and rules to the transaction that makes `table`; the sets of paths() are in
	 * it already. */
	void (*write)(struct pg_nft *n, const char *table, const struct pg_pod_nat *nat,
		      const struct pg_listeners *to);

	/* Where the accepted socket `fd`, whose own address is *own, was going: 0, or a negative
	 * errno. */
	int (*original)(int fd, const struct sockaddr_storage *own, struct sockaddr_storage *out);
};

extern const struct pg_mech pg_mech_tproxy, pg_mech_nat;
