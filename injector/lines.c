#include "injector/lines.h"

#include <assert.h>
#include <string.h>

size_t pg_lines_room(struct pg_lines *l, char **at_out)
{
	*at_out = l->text + l->have;
	return sizeof(l->text) - l->have;
}

void pg_lines_added(struct pg_lines *l, size_t n,
		    void (*line)(void *ctx, const char *text, size_t size), void *ctx)
{
	char *at = l->text, *newline;
	assert(n <= sizeof(l->text) - l->have);
	l->have += n;
	while ((newline = memchr(at, '\n', l->have - (size_t)(at - l->text)))) {
		*newline = '\0';
		if (!l->skips)
			line(ctx, at, (size_t)(newline - at));
		l->skips = false;
		at = newline + 1;
	}
	l->have -= (size_t)(at - l->text);
	memmove(l->text, at, l->have);
	l->skips |= l->have == sizeof(l->text);
	if (l->skips)
		l->have = 0;
}

void pg_lines_end(struct pg_lines *l, void (*line)(void *ctx, const char *text, size_t size),
		  void *ctx)
{
	l->text[l->have] = '\0'; /* it is never full */
	if (l->have > 0 && !l->skips)
		line(ctx, l->text, l->have);
	l->have = 0;
	l->skips = false;
}
