#include "injector/process_table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/utf8.h"

/* Whatever an agent says of its processes: every line is short, and plain text but for tabs. */
static void check(void *ctx, const char *line)
{
	char *copy = strdup(line);
	(void)ctx;
	for (char *tab = copy; (tab = strchr(tab, '\t'));)
		*tab = ' ';
	if (strlen(line) >= 1024 || !pg_utf8_is_plain(copy))
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *root = json_loadb((const char *)data, size, 0, NULL);
	pg_process_table(root, check, NULL);
	json_decref(root);
	return 0;
}
