#include "agent/nft_dump.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever arrives: a refusal leaves the output alone, and a comment is a string of the input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char out[256], untouched[256];
	memset(out, 'u', sizeof(out));
	memset(untouched, 'u', sizeof(untouched));
	if (pg_nft_parse_comment(data, size, out) < 0) {
		if (memcmp(out, untouched, sizeof(out)) != 0)
			abort();
		return 0;
	}
	size_t n = strnlen(out, sizeof(out));
	if (n == sizeof(out) || !memmem(data, size, out, n + 1))
		abort();
	return 0;
}
