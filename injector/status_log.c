#include "injector/status_log.h"

#include <string.h>

#define PREFIX "podgraft-agent: "

static struct pg_status_line *find(struct pg_status_log *log, const struct pg_status_line *line)
{
	for (size_t i = 0; i < log->count; i++)
		if (log->redirects[i].outgoing == line->outgoing &&
		    log->redirects[i].port == line->port)
			return &log->redirects[i];
	return NULL;
}

static void drop(struct pg_status_log *log, struct pg_status_line *at)
{
	size_t behind = (size_t)(log->redirects + log->count - (at + 1));
	memmove(at, at + 1, behind * sizeof(*at));
	log->count--;
}

void pg_status_log_line(struct pg_status_log *log, const char *text)
{
	struct pg_status_line line;
	if (strncmp(text, PREFIX, strlen(PREFIX)) != 0 ||
	    pg_status_line_parse(text + strlen(PREFIX), &line) < 0)
		return;
	struct pg_status_line *there = find(log, &line);
	bool is_over = line.event == PG_STATUS_STOPPED || line.event == PG_STATUS_TAKEN_OVER;
	if (is_over && there)
		drop(log, there);
	else if (there)
		*there = line;
	else if (!is_over && log->count < PG_STATUS_REDIRECTS)
		log->redirects[log->count++] = line;
}
