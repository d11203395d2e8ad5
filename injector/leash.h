#pragma once
#include "injector/credential.h"
#include "injector/output.h"
#include "proto/io/loop.h"

/* The standard input of a program that must not outlive the one that started it: when that one
 * ends, however it does, our end of the pipe says so, and we get a SIGTERM. What comes through it
 * before are credentials (credential.h). */
struct pg_leash;

/* Watches descriptor 0, a pipe or socket. `out` is where a credential is asked for, by an event
 * "credential" that tells the number of the one that we have. NULL with *err. */
struct pg_leash *pg_leash_new(struct pg_loop *loop, struct pg_output *out, struct pg_err *err);

/* Borrowed for the leash's life. */
const struct pg_credential_source *pg_leash_credentials(const struct pg_leash *leash);

/* NULL is allowed. */
void pg_leash_free(struct pg_leash *leash);
