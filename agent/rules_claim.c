#include "agent/rules_claim.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/base/err.h"
#include "proto/base/num.h"

#define SINCE " since "
static const char time_format[] = "%Y-%m-%dT%H:%M:%SZ";

void pg_claim_name(uint16_t port, char out[PG_CLAIM_NAME])
{
	snprintf(out, PG_CLAIM_NAME, "podgraft-tcp-%u", port);
}

void pg_claim_format(const struct pg_claim *claim, char out[PG_CLAIM_TEXT])
{
	char when[32];
	struct tm utc;
	time_t since = (time_t)claim->since;
	if (!gmtime_r(&since, &utc) || strftime(when, sizeof(when), time_format, &utc) == 0)
		snprintf(when, sizeof(when), "?");
	snprintf(out, PG_CLAIM_TEXT, "%s" SINCE "%s", claim->holder, when);
}

/* The last " since " of the text: a holder's name may have one of its own. NULL: none. */
static const char *find_since(const char *text)
{
	const char *found = NULL;
	for (const char *at = text; (at = strstr(at, SINCE)); at++)
		found = at;
	return found;
}

void pg_claim_parse(const char *text, struct pg_claim *out)
{
	struct pg_claim claim = { .since = 0 };
	struct tm utc = { 0 };
	const char *since = find_since(text);
	size_t n = since ? (size_t)(since - text) : strlen(text);
	const char *end = since ? strptime(since + strlen(SINCE), time_format, &utc) : NULL;
	time_t when = end && *end == '\0' ? timegm(&utc) : 0;
	if (when > 0)
		claim.since = (uint64_t)when;
	memcpy(claim.holder, text, pg_min(n, sizeof(claim.holder) - 1));
	pg_sanitize(claim.holder);
	*out = claim;
}
