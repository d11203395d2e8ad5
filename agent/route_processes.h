#pragma once
#include "agent/ports.h"
#include "agent/procfs.h"
#include "agent/route.h"

/* GET /v1/processes: what was read of the pod, and its form as protobuf (route_processes_pb.c). */

enum {
	PG_SOCKETS_MAX = 2048,
	/* Room in the answer for all sockets and one more process. A socket in JSON takes at most
	 * 128 bytes. */
	PG_SOCKETS_ROOM = PG_SOCKETS_MAX * 128 + 16 * 1024,
};

struct pg_snapshot {
	struct pg_process_list processes;
	struct pg_listening *sockets;   /* owned */
	struct pg_socket_owner *owners; /* as many, sorted by inode; owned */
	size_t socket_count;
	bool truncated; /* there was more */
};

/* The process that holds a socket; 0: unknown. */
uint32_t pg_snapshot_owner(const struct pg_snapshot *s, const struct pg_listening *l);

/* "tcp" or "udp". */
const char *pg_protocol_name(uint8_t protocol);

/* Makes `a` the message Processes, or a refusal. Strings of protobuf are UTF-8, so bytes that are
 * not, and controls, become '?'; the snapshot's own strings are changed. */
void pg_snapshot_pack(struct pg_snapshot *s, struct pg_answer *a);
