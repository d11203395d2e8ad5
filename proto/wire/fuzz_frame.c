#include <stdlib.h>
#include <string.h>

#include "proto/wire/frame.h"

/* Whatever arrives: stay in bounds, encode back to the same bytes, want more on every prefix. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_frame f, prefix;
	uint8_t again[PG_FRAME_HDR];
	if (pg_frame_decode(data, size, &f) <= 0)
		return 0;
	pg_frame_encode(&f, again); /* asserts what is legal */
	if (memcmp(again, data, sizeof(again)) != 0)
		abort();
	for (size_t n = 0; n < PG_FRAME_HDR; n++)
		if (pg_frame_decode(data, n, &prefix) != 0)
			abort();
	return 0;
}
