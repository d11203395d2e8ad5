#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The same words from many at once are told once, and how often they came again a little later.
 * Pure: the time comes from the caller. */

enum { PG_NEWS_MAX = 32, PG_NEWS_MS = 3000 };

struct pg_news { /* zeroed, it is ready */
	struct {
		char *text;
		uint64_t since_ms;
		unsigned more; /* how often it was heard again */
	} items[PG_NEWS_MAX];
	size_t count;
};

/* Whether to tell `text` now: it was not told within the last PG_NEWS_MS. Beyond PG_NEWS_MAX
 * different ones, and out of memory, everything is told. */
bool pg_news_hear(struct pg_news *n, const char *text, uint64_t now_ms);

/* A text whose time is over, to be freed, with how often it came again in *more_out (0: just
 * forget it). NULL: none is due. */
char *pg_news_due(struct pg_news *n, uint64_t now_ms, unsigned *more_out);
void pg_news_fini(struct pg_news *n);
