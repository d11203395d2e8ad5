#include "agent/rules_claim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/mech.h"
#include "agent/nft_dump.h"
#include "proto/base/err.h"
#include "proto/base/num.h"

enum {
	TABLES_SEEN_MAX = 256,
	TRIES = 4,
};
#define ASK_PREFIX PG_TABLE_PREFIX "takeover-"

#define SINCE " since "
#define BOOT  " boot "

/* ---- the text ---- */

static const char time_format[] = "%Y-%m-%dT%H:%M:%SZ";

/* What tells the tables of one direction from those of the other. */
static const char *infix(enum pg_direction direction)
{
	return direction == PG_OUTGOING ? "out-tcp-" : "tcp-";
}

void pg_claim_name(enum pg_direction direction, uint16_t port, char out[PG_CLAIM_NAME])
{
	snprintf(out, PG_CLAIM_NAME, PG_TABLE_PREFIX "%s%u", infix(direction), port);
}

void pg_claim_ask_name(enum pg_direction direction, uint16_t port, char out[PG_CLAIM_NAME])
{
	snprintf(out, PG_CLAIM_NAME, ASK_PREFIX "%s%u", infix(direction), port);
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

/* The last `word` of the text: a holder's name may have one of its own. NULL: none. */
static const char *find_last(const char *text, const char *word)
{
	const char *found = NULL;
	for (const char *at = text; (at = strstr(at, word)); at++)
		found = at;
	return found;
}

void pg_claim_parse(const char *text, struct pg_claim *out)
{
	struct pg_claim claim = { .since = 0 };
	struct tm utc = { 0 };
	const char *since = find_last(text, SINCE);
	size_t n = since ? (size_t)(since - text) : strlen(text);
	const char *end = since ? strptime(since + strlen(SINCE), time_format, &utc) : NULL;
	time_t when = end && *end == '\0' ? timegm(&utc) : 0;
	if (when > 0)
		claim.since = (uint64_t)when;
	memcpy(claim.holder, text, pg_min(n, sizeof(claim.holder) - 1));
	pg_sanitize(claim.holder);
	*out = claim;
}

void pg_question_format(const struct pg_question *question, char out[PG_CLAIM_TEXT])
{
	pg_claim_format(&question->by, out);
	size_t n = strlen(out);
	snprintf(out + n, PG_CLAIM_TEXT - n, BOOT "%" PRIu64, question->boot_s);
}

void pg_question_parse(const char *text, struct pg_question *out)
{
	char claim[PG_CLAIM_TEXT];
	struct pg_question question = { .boot_s = PG_QUESTION_NEVER };
	const char *boot = find_last(text, BOOT);
	size_t n = strlen(text);
	if (boot &&
	    pg_parse_u64(boot + strlen(BOOT), 0, PG_QUESTION_NEVER - 1, &question.boot_s) == 0)
		n = (size_t)(boot - text);
	n = pg_min(n, sizeof(claim) - 1);
	memcpy(claim, text, n);
	claim[n] = '\0';
	pg_claim_parse(claim, &question.by);
	*out = question;
}

bool pg_question_counts(const struct pg_question *question, uint64_t now_s)
{
	return question->boot_s <= now_s && now_s - question->boot_s <= PG_QUESTION_S;
}

/* ---- the tables ---- */

struct live_search {
	char tables[TABLES_SEEN_MAX][PG_TABLE_NAME];
	size_t count;
	bool too_many;   /* to be told of all */
	const char *own; /* not looked at */
};

static bool begins_with(const char *text, const char *head)
{
	return strncmp(text, head, strlen(head)) == 0;
}

/* Claims and questions have no sets, and there are as many of them as ports. */
static void note_table(void *ctx, const char *name)
{
	struct live_search *s = ctx;
	if (!begins_with(name, PG_TABLE_PREFIX) || begins_with(name, ASK_PREFIX) ||
	    begins_with(name, PG_TABLE_PREFIX "tcp-") ||
	    begins_with(name, PG_TABLE_PREFIX "out-tcp-") || strcmp(name, s->own) == 0 ||
	    strlen(name) >= PG_TABLE_NAME)
		return;
	if (s->count < TABLES_SEEN_MAX)
		snprintf(s->tables[s->count++], PG_TABLE_NAME, "%s", name);
	else
		s->too_many = true;
}

bool pg_claim_is_live(const struct pg_claims *c, enum pg_direction direction, uint16_t port)
{
	unsigned paths = direction == PG_OUTGOING ? PG_PATHS_OUTGOING : PG_PATHS_INCOMING;
	struct live_search s = { .own = c->table };
	if (pg_nft_each_table(c->nft, note_table, &s, NULL) < 0)
		return true; /* unknown: leave it alone */
	for (size_t i = 0; i < s.count; i++)
		for (unsigned path = 1; path < PG_PATH_END; path <<= 1)
			if ((path & paths) && pg_nft_read_port(c->nft, s.tables[i],
							       pg_path_name(path), port, NULL) == 0)
				return true;
	return s.too_many;
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

/* A claim from now on. */
static struct pg_claim claim_of(const char *holder)
{
	struct pg_claim claim = { .since = (uint64_t)time(NULL) };
	snprintf(claim.holder, sizeof(claim.holder), "%s", holder);
	return claim;
}

/* Adds a table of our own to the transaction; with `stale` another of its name goes first. */
static void put_table(const struct pg_claims *c, const char *name, const char *text, uint64_t stale)
{
	if (stale)
		pg_nft_del_table(c->nft, name, stale);
	pg_nft_add_table(c->nft, name, PG_NFT_EXCLUSIVE | (c->owned ? PG_NFT_OWNED : 0u), text);
}

/* One attempt. `stale` is the handle of a claim table that goes first, or 0. */
static int claim_once(const struct pg_claims *c, const struct pg_claim_wish *wish, uint64_t stale,
		      unsigned *refused, struct pg_err *err)
{
	char name[PG_CLAIM_NAME], asked[PG_CLAIM_NAME], text[PG_CLAIM_TEXT];
	pg_claim_name(wish->direction, wish->port, name);
	pg_claim_ask_name(wish->direction, wish->port, asked);
	struct pg_claim claim = claim_of(wish->holder);
	pg_claim_format(&claim, text);
	pg_nft_begin(c->nft);
	put_table(c, name, text, stale);
	if (wish->asked)
		pg_nft_del_table(c->nft, asked, 0);
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

/* ---- take-over ---- */

/* The clock that all agents of a machine share, and nobody sets. */
static uint64_t boot_s(void)
{
	struct timespec now = { 0 };
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec;
}

/* The question on the port, if it counts: 0, or -ENOENT. */
static int read_question(const struct pg_claims *c, enum pg_direction direction, uint16_t port,
			 struct pg_nft_seen_table *seen, struct pg_claim *by)
{
	char name[PG_CLAIM_NAME];
	struct pg_question question;
	pg_claim_ask_name(direction, port, name);
	if (pg_nft_read_table(c->nft, name, seen, NULL) < 0)
		return -ENOENT;
	pg_question_parse(seen->comment, &question);
	*by = question.by;
	return seen->owned || pg_question_counts(&question, boot_s()) ? 0 : -ENOENT;
}

bool pg_claim_is_asked(const struct pg_claims *c, enum pg_direction direction, uint16_t port,
		       struct pg_claim *by_out)
{
	struct pg_nft_seen_table seen;
	return read_question(c, direction, port, &seen, by_out) == 0;
}

int pg_claim_ask(const struct pg_claims *c, enum pg_direction direction, uint16_t port,
		 const char *holder, struct pg_claim *by_out, struct pg_err *err)
{
	char name[PG_CLAIM_NAME], text[PG_CLAIM_TEXT];
	struct pg_nft_seen_table seen = { .handle = 0 };
	struct pg_claim by = { .holder = "" };
	struct pg_question question = { .by = claim_of(holder), .boot_s = boot_s() };
	pg_claim_ask_name(direction, port, name);
	pg_question_format(&question, text);
	if (read_question(c, direction, port, &seen, &by) <
	    0) { /* seen.handle: of one that does not count */
		unsigned refused = PG_NFT_ALL;
		pg_nft_begin(c->nft);
		put_table(c, name, text, seen.handle);
		int code = pg_nft_commit(c->nft, &refused, err);
		if (code == 0 || refused == PG_NFT_ALL)
			return code; /* asked, or nothing can be changed at all */
		read_question(c, direction, port, &seen, &by);
	}
	if (by_out)
		*by_out = by;
	pg_fail(err, -EALREADY, "%sport %u is being taken over%s%s at this moment.",
		pg_direction_word(direction), port, by.holder[0] ? " by " : "", by.holder);
	return pg_hint(err, PG_TARGET, "ask them; podgraft status shows who has it");
}

void pg_claim_unask(const struct pg_claims *c, enum pg_direction direction, uint16_t port)
{
	char name[PG_CLAIM_NAME];
	pg_claim_ask_name(direction, port, name);
	pg_nft_begin(c->nft);
	pg_nft_del_table(c->nft, name, 0);
	pg_nft_commit(c->nft, NULL, NULL); /* one that is gone already needs no removal */
}

struct asked_visit {
	void (*seen)(void *ctx, enum pg_direction direction, uint16_t port);
	void *ctx;
};

static void on_table(void *ctx, const char *name)
{
	const struct asked_visit *v = ctx;
	for (int d = PG_INCOMING; d <= PG_OUTGOING; d++) {
		char head[PG_CLAIM_NAME];
		uint64_t port;
		int n = snprintf(head, sizeof(head), ASK_PREFIX "%s", infix((enum pg_direction)d));
		if (strncmp(name, head, (size_t)n) == 0 &&
		    pg_parse_u64(name + n, 1, UINT16_MAX, &port) == 0)
			v->seen(v->ctx, (enum pg_direction)d, (uint16_t)port);
	}
}

void pg_claim_each_asked(const struct pg_claims *c,
			 void (*seen)(void *ctx, enum pg_direction direction, uint16_t port),
			 void *ctx)
{
	struct asked_visit v = { seen, ctx };
	pg_nft_each_table(c->nft, on_table, &v, NULL);
}

int pg_claim_settle(const struct pg_claims *c, enum pg_direction direction, uint16_t port)
{
	char name[PG_CLAIM_NAME], asked[PG_CLAIM_NAME], text[PG_CLAIM_TEXT];
	struct pg_nft_seen_table seen;
	struct pg_claim by;
	if (read_question(c, direction, port, &seen, &by) < 0)
		return -ENOENT;
	pg_claim_name(direction, port, name);
	pg_claim_ask_name(direction, port, asked);
	pg_claim_format(&by, text);
	pg_nft_begin(c->nft);
	put_table(c, name, text, 0);
	pg_nft_del_table(c->nft, asked, 0);
	return pg_nft_commit(c->nft, NULL, NULL);
}
