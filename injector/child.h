#pragma once
#include <stdbool.h>

#include "proto/io/loop.h"

enum { PG_CHILD_END_MS = 10000 }; /* what a program gets to end in, as connections do to drain */

/* The program of "-- CMD": runs with our terminal, environment and standard streams, beside the
 * loop. */
struct pg_child;

/* Starts argv[0] (found in PATH); `ended` is called from the loop when it is over. -ENOENT, -EACCES
 * and other errnos of execvp(3), with *exit_out the shell's code for it (127 not found, 126 cannot
 * be run). */
int pg_child_start(struct pg_loop *loop, char **argv, void (*ended)(void *ctx), void *ctx,
		   struct pg_child **out, int *exit_out, struct pg_err *err);

bool pg_child_has_ended(const struct pg_child *c);

/* Its status as a shell gives it: 0 to 255, 128 + signal. Only after it has ended. */
int pg_child_status(const struct pg_child *c);

/* Whether a signal is the program's to handle, because it runs: then it has been passed on, but for
 * SIGINT, which the terminal gives it by itself. NULL is allowed. */
bool pg_child_takes(struct pg_child *c, int signo);

/* Ends it: SIGTERM, and SIGKILL when it still runs after `patience_ms`, or at an interrupt. A
 * program that it has started itself is its own to end. NULL is allowed. */
void pg_child_end(struct pg_loop *loop, struct pg_child *c, uint64_t patience_ms);

/* Frees; a program that still runs is left alone. NULL is allowed. */
void pg_child_free(struct pg_child *c);
