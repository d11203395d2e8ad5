#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/io/network.h"

/* Texts of any bytes: what is a network can be said again and is the same; its first and last
 * address are its own. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_network n, again, edge;
	char said[PG_NETWORK_TEXT];
	uint8_t first[16], last[16];
	char *text = pg_strndup((const char *)data, size);
	if (!text)
		abort();
	if (pg_network_parse(text, &n) == 0) {
		pg_network_text(&n, said);
		if (pg_network_parse(said, &again) != 0 || memcmp(&n, &again, sizeof(n)) != 0)
			abort();
		pg_network_range(&n, first, last);
		pg_network_set(&edge, last, pg_network_bytes(&n),
			       8 * (unsigned)pg_network_bytes(&n));
		if (memcmp(first, n.address, pg_network_bytes(&n)) != 0 ||
		    (edge.version == n.version && !pg_network_covers(&n, &edge)))
			abort();
	}
	free(text);
	return 0;
}
