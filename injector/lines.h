#pragma once
#include <stdbool.h>
#include <stddef.h>

/* What another process writes, cut into lines. Pure: bytes in, lines out. A line that is too long
 * tells nothing: it is passed over up to its end. */

enum { PG_LINE_MAX = 64 << 10 }; /* with its newline */

struct pg_lines { /* zeroed, it is ready */
	char text[PG_LINE_MAX];
	size_t have;
	bool skips; /* until the next newline */
};

/* Where the next bytes go, and for how many there is room: never 0. */
size_t pg_lines_room(struct pg_lines *l, char **at_out);

/* `n` bytes are there now. Calls `line` for each whole one: without its newline, `size` bytes and a
 * NUL, borrowed. */
void pg_lines_added(struct pg_lines *l, size_t n,
		    void (*line)(void *ctx, const char *text, size_t size), void *ctx);

/* No more comes: a last line without a newline counts as one. */
void pg_lines_end(struct pg_lines *l, void (*line)(void *ctx, const char *text, size_t size),
		  void *ctx);
