#include <stdlib.h>

#include "agent/nodes.h"

/* Whatever a routing table says: stay in bounds, and count addresses only. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_nodes nodes = { .count = 0 };
	pg_nodes_add_routes4(&nodes, (const char *)data, size);
	pg_nodes_add_routes6(&nodes, (const char *)data, size);
	if (nodes.count > PG_NODES_ROOM)
		abort();
	for (size_t i = 0; i < nodes.count; i++)
		if (nodes.length[i] != 4 && nodes.length[i] != 16)
			abort();
	return 0;
}
