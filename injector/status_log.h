#pragma once
#include <stddef.h>

#include "proto/io/status_line.h"

/* What stands according to an agent's log, read line by line. The log is whatever its container
 * wrote: what is no line of ours is passed over, and no log can hold more than fits here. Pure. */

enum { PG_STATUS_REDIRECTS = 256 };

struct pg_status_log {
	/* The last line of each redirect that stands, in the order of their start. */
	struct pg_status_line redirects[PG_STATUS_REDIRECTS];
	size_t count;
};

/* Takes in the next line of the log. */
void pg_status_log_line(struct pg_status_log *log, const char *line);
