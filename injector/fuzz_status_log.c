#include <stdlib.h>
#include <string.h>

#include "injector/status_log.h"
#include "proto/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a log holds: what is said to stand is in bounds, clean, and there once. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pg_status_log log;
	char *text = pg_strndup((const char *)data, size);
	log.count = 0;
	for (char *line = text; line;) {
		char *end = strchr(line, '\n');
		if (end)
			*end = '\0';
		pg_status_log_line(&log, line);
		line = end ? end + 1 : NULL;
	}
	free(text);
	if (log.count > PG_STATUS_REDIRECTS)
		abort();
	for (size_t i = 0; i < log.count; i++)
		for (size_t k = 0; k < i; k++)
			if (log.redirects[i].port == log.redirects[k].port &&
			    log.redirects[i].outgoing == log.redirects[k].outgoing)
				abort();
	return 0;
}
