#include <netinet/in.h>
#include <stdlib.h>

#include "agent/ports.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_listening found[4];
	size_t count = 0;
	int rc = pg_ports_parse(data, size, IPPROTO_TCP, found, 4, &count);
	if (rc > 1 || count > 4)
		abort();
	for (size_t i = 0; i < count; i++)
		if (found[i].family != 4 && found[i].family != 6)
			abort();
	return 0;
}
