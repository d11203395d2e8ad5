#include <stdlib.h>
#include <string.h>

#include "agent/procfs.h"

/* Every parser on the same bytes: stay in bounds, and end what is handed out. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	char name[PG_COMM_MAX + 1], id[PG_CONTAINER_ID + 1];
	uint32_t v;
	if (pg_procfs_stat(text, size, &v, name) == 0 && strlen(name) > PG_COMM_MAX)
		abort();
	pg_procfs_uid(text, size, &v);
	if (pg_procfs_container(text, size, id) == 0 && strlen(id) != PG_CONTAINER_ID)
		abort();
	pg_procfs_socket(text, size, &v);
	return 0;
}
