#include "proto/io/status_line.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/base/err.h"
#include "proto/base/num.h"

static const char time_format[] = "%Y-%m-%dT%H:%M:%SZ";
enum { TIME_LENGTH = PG_STATUS_TIME - 1 };
static const uint64_t time_end = 253402300800; /* of the year 9999 */

static const char *const words[] = {
	[PG_STATUS_STARTED] = "started",       [PG_STATUS_PARKED] = "parked",
	[PG_STATUS_RESUMED] = "resumed",       [PG_STATUS_STOPPED] = "stopped",
	[PG_STATUS_TAKEN_OVER] = "taken over",
};
static_assert(PG_LEN(words) == PG_STATUS_COUNT, "a word for each event");

const char *pg_status_word(enum pg_status_event event)
{
	assert(event < PG_STATUS_COUNT);
	return words[event];
}

void pg_status_time(uint64_t at, char out[PG_STATUS_TIME])
{
	struct tm utc;
	time_t when = (time_t)(at < time_end ? at : 0);
	if (!gmtime_r(&when, &utc) || strftime(out, PG_STATUS_TIME, time_format, &utc) == 0)
		snprintf(out, PG_STATUS_TIME, "1970-01-01T00:00:00Z");
}

void pg_status_line_format(const struct pg_status_line *line, char out[PG_STATUS_LINE])
{
	char at[PG_STATUS_TIME], since[PG_STATUS_TIME];
	const char *note = line->note;
	pg_status_time(line->at, at);
	pg_status_time(line->since, since);
	snprintf(out, PG_STATUS_LINE, "%s %sport %u: %s%s%s%s since %s by %s", at,
		 line->outgoing ? "outgoing " : "", line->port, pg_status_word(line->event),
		 note[0] ? " (" : "", note, note[0] ? ")" : "", since, line->who);
}

/* Each of these moves *at past what it reads, and only then. */

static bool skip(const char **at, const char *text)
{
	size_t n = strlen(text);
	if (strncmp(*at, text, n) != 0)
		return false;
	*at += n;
	return true;
}

static bool read_time(const char **at, uint64_t *out)
{
	char text[PG_STATUS_TIME];
	struct tm utc = { 0 };
	if (strnlen(*at, TIME_LENGTH) < TIME_LENGTH)
		return false;
	memcpy(text, *at, TIME_LENGTH);
	text[TIME_LENGTH] = '\0';
	const char *end = strptime(text, time_format, &utc);
	time_t when = end && *end == '\0' ? timegm(&utc) : -1;
	if (when < 0)
		return false;
	*at += TIME_LENGTH;
	*out = (uint64_t)when;
	return true;
}

static bool read_port(const char **at, uint16_t *out)
{
	uint64_t port;
	size_t n = strspn(*at, "0123456789");
	if (n == 0 || pg_parse_u64n(*at, n, 1, UINT16_MAX, &port) < 0)
		return false;
	*at += n;
	*out = (uint16_t)port;
	return true;
}

static bool read_event(const char **at, enum pg_status_event *out)
{
	for (size_t i = 0; i < PG_LEN(words); i++) {
		if (!skip(at, words[i]))
			continue;
		*out = (enum pg_status_event)i;
		return true;
	}
	return false;
}

/* "(how)", or nothing. */
static bool read_note(const char **at, char out[PG_STATUS_NOTE])
{
	if (!skip(at, " ("))
		return true;
	size_t n = strcspn(*at, "()");
	if ((*at)[n] != ')' || n == 0 || n >= PG_STATUS_NOTE)
		return false;
	memcpy(out, *at, n);
	out[n] = '\0';
	pg_sanitize(out);
	*at += n + 1;
	return true;
}

int pg_status_line_parse(const char *text, struct pg_status_line *out)
{
	struct pg_status_line line = { .note = "" };
	const char *at = text;
	if (!read_time(&at, &line.at) || !skip(&at, " "))
		return -EINVAL;
	line.outgoing = skip(&at, "outgoing ");
	if (!skip(&at, "port ") || !read_port(&at, &line.port) || !skip(&at, ": ") ||
	    !read_event(&at, &line.event) || !read_note(&at, line.note) || !skip(&at, " since ") ||
	    !read_time(&at, &line.since) || !skip(&at, " by "))
		return -EINVAL;
	size_t n = strlen(at);
	if (n == 0 || n >= PG_STATUS_WHO)
		return -EINVAL;
	memcpy(line.who, at, n + 1);
	pg_sanitize(line.who);
	*out = line;
	return 0;
}
