#include "injector/news.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"

bool pg_news_hear(struct pg_news *n, const char *text, uint64_t now_ms)
{
	for (size_t i = 0; i < n->count; i++) {
		if (strcmp(n->items[i].text, text) == 0) {
			n->items[i].more++;
			return false;
		}
	}
	char *copy = n->count < PG_NEWS_MAX ? pg_strdup(text) : NULL;
	if (!copy)
		return true;
	n->items[n->count].text = copy;
	n->items[n->count].since_ms = now_ms;
	n->items[n->count++].more = 0;
	return true;
}

char *pg_news_due(struct pg_news *n, uint64_t now_ms, unsigned *more_out)
{
	for (size_t i = 0; i < n->count; i++) {
		if (now_ms - n->items[i].since_ms < PG_NEWS_MS)
			continue;
		char *text = n->items[i].text;
		*more_out = n->items[i].more;
		n->count--;
		memmove(&n->items[i], &n->items[i + 1], (n->count - i) * sizeof(n->items[0]));
		return text;
	}
	return NULL;
}

void pg_news_fini(struct pg_news *n)
{
	while (n->count > 0)
		free(n->items[--n->count].text);
}
