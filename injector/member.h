#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "proto/io/loop.h"

/* A podgraft of our own that runs beside us, for one pod of many: its events, its signals, its end.
 * It is on our leash: it gives everything back when we are gone, however we went. */
struct pg_member;

struct pg_member_events {
	/* A line that it wrote, of `size` bytes and a NUL, borrowed: to its standard output, or to
	 * standard error, where it has no say on our terminal. */
	void (*told)(void *ctx, const char *line, size_t size);
	void (*words)(void *ctx, const char *line, size_t size);
	/* It has ended, with `status` as a shell gives it: 0 to 255, 128 + signal. The last event.
	 */
	void (*ended)(void *ctx, int status);
};

/* Starts `argv`, which ends with NULL; argv[0] is its name only, the program is ours. */
int pg_member_start(struct pg_loop *loop, const char *const *argv,
		    const struct pg_member_events *events, void *ctx, struct pg_member **out,
		    struct pg_err *err);

void pg_member_signal(struct pg_member *m, int signo);

/* Writes to its standard input, which it reads on: a copy, wiped when it is gone. Lost when the
 * member has ended. */
void pg_member_tell(struct pg_member *m, const char *text, size_t size);

/* Frees it, once it has ended; NULL is allowed. */
void pg_member_free(struct pg_member *m);
