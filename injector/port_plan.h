#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "injector/platform.h"
#include "injector/portspec.h"

/* Which of a pod's ports go to which local port: what the person named, or all. Pure. */
struct pg_port_pair {
	uint16_t pod, local;
};

enum { PG_PAIRS_MAX = 256 };

/* Resolves `spec` for `pod`: a name is one of its container ports'; with svc/NAME a number or name
 * is the Service's and is mapped to its target port. -ENOENT with a hint that lists what there is.
 */
int pg_port_pair_resolve(const struct pg_pod *pod, const struct pg_portspec *spec,
			 struct pg_port_pair *out, struct pg_err *err);

/* A port that something in the pod listens on, as the agent tells it. */
struct pg_listens {
	uint16_t port;
	bool loopback; /* only there */
};

/* All that should be redirected when nothing is named: what listens beyond loopback, each port
 * once and in order, less the ports of meshes' proxies, and less those that other containers
 * declare when `container` was named by the person (else NULL). Returns how many. */
size_t pg_port_pairs_all(const struct pg_pod *pod, const char *container,
			 const struct pg_listens *listens, size_t count,
			 struct pg_port_pair out[PG_PAIRS_MAX]);
