#include "agent/mech_detect.h"

#include <stdlib.h>

#include "proto/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever arrives: no overrun, and a table more is a table more. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = pg_strndup((const char *)data, size);
	char *more = text ? pg_asprintf("%s\nnat\n", text) : NULL;
	if (more) {
		pg_names_have_nat(text);
		if (!pg_names_have_nat(more))
			abort();
	}
	free(text);
	free(more);
	return 0;
}
