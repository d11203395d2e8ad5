#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/io/status_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever arrives: what was read is written and read again as the same line, and fits its room. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_status_line line, again;
	char written[PG_STATUS_LINE];
	char *text = pg_strndup((const char *)data, size);
	if (text && pg_status_line_parse(text, &line) == 0) {
		pg_status_line_format(&line, written);
		if (pg_status_line_parse(written, &again) < 0 || again.at != line.at ||
		    again.port != line.port || again.event != line.event ||
		    again.since != line.since || again.outgoing != line.outgoing ||
		    strcmp(again.who, line.who) != 0 || strcmp(again.note, line.note) != 0)
			abort();
	}
	free(text);
	return 0;
}
