#pragma once
#include "proto/io/loop.h"

/* The standard input of a program that must not outlive the one that started it: when that one
 * ends, however it does, our end of the pipe says so, and we get a SIGTERM. */
struct pg_leash;

/* Watches descriptor 0, a pipe or socket that nobody writes to. NULL with *err. */
struct pg_leash *pg_leash_new(struct pg_loop *loop, struct pg_err *err);

/* NULL is allowed. */
void pg_leash_free(struct pg_leash *leash);
