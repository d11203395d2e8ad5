#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire/auth.h"

/* The kubelet's probes of a pod, and what a redirect means to them. Pure. */

enum { PG_POD_PROBES = 32, PG_POD_NODES = 16, PG_PROBE_COMMAND = 256 };

enum pg_probe_kind {
	PG_PROBE_HTTP,
	PG_PROBE_HTTP_DISGUISED, /* sets another User-Agent than the kubelet's */
	PG_PROBE_HTTPS,
	PG_PROBE_GRPC,
	PG_PROBE_EXEC,
};

struct pg_pod_probe {
	char container[PG_NAME_MAX + 1];
	const char *what; /* "liveness", "readiness", "startup": static */
	enum pg_probe_kind kind;
	uint16_t port;                  /* not of PG_PROBE_EXEC */
	char command[PG_PROBE_COMMAND]; /* of PG_PROBE_EXEC: its words, cut if need be */
};

struct pg_pod_probes {
	struct pg_pod_probe items[PG_POD_PROBES];
	size_t count;
	/* Of the node, which probes may come from. */
	struct {
		uint8_t bytes[16], length; /* 4 or 16 */
	} nodes[PG_POD_NODES];
	size_t node_count;
};

/* Whether one of them on `port` is told by the first bytes of its connections (`any`), and whether
 * one of those is of gRPC. */
bool pg_probes_read_first(const struct pg_pod_probes *probes, uint16_t port, bool *grpc_out);

/* What the person is to know of the probe when `port` goes to `local` on this machine, in words:
 * false when there is nothing. `no_local`: connections from inside the pod do not. */
bool pg_probe_warning(const struct pg_pod_probe *probe, uint16_t port, const char *local,
		      bool no_local, char *out, size_t room);
