#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "injector/banner.h"

/* Whatever the first line of a log is: no line of another form passes for a banner. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_banner b = { .port = 0 };
	char *line = calloc(size + 1, 1);
	if (!line)
		return 0;
	if (size > 0)
		memcpy(line, data, size);
	if (pg_banner_parse(line, &b) == 0 && (b.port == 0 || b.version != 1))
		abort();
	free(line);
	return 0;
}
