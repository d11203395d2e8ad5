#include "agent/rules_claim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/mech.h"
#include "agent/nft_dump.h"
#include "proto/base/err.h"
#include "proto/base/num.h"

enum { TABLES_SEEN_MAX = 32, TRIES = 4 };
#define SINCE " since "
/* ---- the text ---- */

static const char time_format[] = "%Y-%m-%dT%H:%M:%SZ";

void pg_claim_name(enum pg_direction direction, uint16_t port, char out[PG_CLAIM_NAME])
{
	snprintf(out, PG_CLAIM_NAME, PG_TABLE_PREFIX "%stcp-%u",
		 direction == PG_OUTGOING ? "out-" : "", port);
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

/* ---- the tables ---- */

struct live_search {
	char tables[TABLES_SEEN_MAX][PG_TABLE_NAME];
	size_t count;
	const char *own; /* not looked at */
};

static void note_table(void *ctx, const char *name)
{
	struct live_search *s = ctx;
	if (strncmp(name, PG_TABLE_PREFIX, strlen(PG_TABLE_PREFIX)) != 0 ||
	    strcmp(name, s->own) == 0 || strlen(name) >= PG_TABLE_NAME ||
	    s->count == TABLES_SEEN_MAX)
		return;
	snprintf(s->tables[s->count++], PG_TABLE_NAME, "%s", name);
}

bool pg_claim_is_live(const struct pg_claims *c, enum pg_direction direction, uint16_t port)
{
	unsigned paths = direction == PG_OUTGOING ? PG_PATH_OUTGOING : PG_PATH_INCOMING;
	struct live_search s = { .own = c->table };
	if (pg_nft_each_table(c->nft, note_table, &s, NULL) < 0)
		return true; /* unknown: leave it alone */
	for (size_t i = 0; i < s.count; i++)
		for (unsigned path = 1; path < PG_PATH_END; path <<= 1)
			if ((path & paths) && pg_nft_read_port(c->nft, s.tables[i],
							       pg_path_name(path), port, NULL) == 0)
				return true;
	return false;
}

int pg_claim_read(const struct pg_claims *c, enum pg_direction direction, uint16_t port,
		  struct pg_claim *out)
{
	char name[PG_CLAIM_NAME];
	struct pg_nft_seen_table seen = { .comment = "" };
	pg_claim_name(direction, port, name);
	int code = pg_nft_read_table(c->nft, name, &seen, NULL);
	pg_claim_parse(seen.comment, out);
	return code < 0 ? -ENOENT : 0;
}

/* One attempt. `stale` is the handle of a claim table that goes first, or 0. */
static int claim_once(const struct pg_claims *c, const struct pg_claim_wish *wish, uint64_t stale,
		      unsigned *refused, struct pg_err *err)
{
	char name[PG_CLAIM_NAME], text[PG_CLAIM_TEXT];
	struct pg_claim claim = { .since = (uint64_t)time(NULL) };
	snprintf(claim.holder, sizeof(claim.holder), "%s", wish->holder);
	pg_claim_name(wish->direction, wish->port, name);
	pg_claim_format(&claim, text);

	pg_nft_begin(c->nft);
	if (stale)
		pg_nft_del_table(c->nft, name, stale);
	pg_nft_add_table(c->nft, name, PG_NFT_EXCLUSIVE | (c->owned ? PG_NFT_OWNED : 0u), text);
	wish->redirect(wish->ctx);
	return pg_nft_commit(c->nft, refused, err);
}

static int busy(enum pg_direction direction, uint16_t port, const struct pg_claim *claim,
		struct pg_claim *claim_out, struct pg_err *err)
{
	if (claim_out)
		*claim_out = *claim;
	return pg_fail(err, -EBUSY, "%sport %u is redirected already%s%s.",
		       pg_direction_word(direction), port, claim->holder[0] ? " by " : "",
		       claim->holder);
}

/* Looks at the claim that stands in our way: 0 when it is gone, or stale with *stale set. */
static int look_at_claim(const struct pg_claims *c, const struct pg_claim_wish *wish,
			 uint64_t *stale, struct pg_claim *claim_out, struct pg_err *err)
{
	char name[PG_CLAIM_NAME];
	struct pg_nft_seen_table seen;
	struct pg_claim claim;
	pg_claim_name(wish->direction, wish->port, name);
	int code = pg_nft_read_table(c->nft, name, &seen, err);
	if (code < 0)
		return code == -ENOENT ? 0 : code;
	pg_claim_parse(seen.comment, &claim);
	if (seen.owned || pg_claim_is_live(c, wish->direction, wish->port))
		return busy(wish->direction, wish->port, &claim, claim_out, err);
	*stale = seen.handle;
	return 0;
}

int pg_claim_port(const struct pg_claims *c, const struct pg_claim_wish *wish,
		  struct pg_claim *claim_out, struct pg_err *err)
{
	uint64_t stale = 0;
	for (int tries = 1;; tries++) {
		unsigned refused = PG_NFT_ALL;
		int code = claim_once(c, wish, stale, &refused, err);
		bool in_the_way = code < 0 && (refused == 1 || (stale && refused == 2)) &&
				  (code == -EPERM || code == -EEXIST || code == -ENOENT);
		if (!in_the_way || tries == TRIES)
			return code;
		stale = 0;
		code = look_at_claim(c, wish, &stale, claim_out, err);
		if (code < 0)
			return code;
	}
}
