#pragma once
#include <stdbool.h>
#include <stdint.h>

/* The lines of an agent's log that say who redirects what since when: written by the agent, read by
 * `podgraft status` (docs/protocol.md, "The agent's log"). Pure.
 *
 *   2026-11-22T16:31:07Z port 8080: parked (the laptop does not answer) since
 *   2026-11-22T16:20:13Z by ann@laptop
 *
 * in one line; "outgoing port 5432" for connections that the pod makes. */

enum pg_status_event {
	PG_STATUS_STARTED,    /* or, of an older `since`, said again */
	PG_STATUS_PARKED,     /* the app serves its clients for now */
	PG_STATUS_RESUMED,    /* not any more */
	PG_STATUS_STOPPED,    /* it is no more */
	PG_STATUS_TAKEN_OVER, /* it is no more; `who` has the port now */
	PG_STATUS_COUNT
};

enum { PG_STATUS_WHO = 65, PG_STATUS_NOTE = 64, PG_STATUS_LINE = 256 }; /* bytes with the NUL */
enum { PG_STATUS_TIME = 21 };

struct pg_status_line {
	uint64_t at; /* when that happened, seconds of the epoch, up to the year 9999 */
	bool outgoing;
	uint16_t port; /* 1 to 65535 */
	enum pg_status_event event;
	char note[PG_STATUS_NOTE]; /* how or why, without parentheses; "": nothing to add */
	uint64_t since;            /* when the redirect started */
	char who[PG_STATUS_WHO];   /* for whom, as they call themselves; not empty */
};

/* "2026-11-22T16:31:07Z", of seconds of the epoch up to the year 9999. */
void pg_status_time(uint64_t at, char out[PG_STATUS_TIME]);

/* What the event is called in the line. */
const char *pg_status_word(enum pg_status_event event);

/* Writes the line, without what the log puts before it. */
void pg_status_line_format(const struct pg_status_line *line, char out[PG_STATUS_LINE]);

/* Reads a line by whomever: 0, or -EINVAL with *out untouched when it is no such line. Controls in
 * its texts are replaced. */
int pg_status_line_parse(const char *text, struct pg_status_line *out);
