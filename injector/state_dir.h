#pragma once
#include "proto/base/err.h"

/* The folder where podgraft keeps what must outlive a command: the person's key and the record of
 * grafted agents. Only its owner may enter. */

/* $XDG_STATE_HOME/podgraft, or ~/.local/state/podgraft; made with mode 0700 when it is not there.
 * The path is the caller's. NULL with *err set (PG_LOCAL). */
char *pg_state_dir(struct pg_err *err);

/* One process at a time changes the folder's files: waits at most two seconds for others.
 * Returns a descriptor to close, or -EBUSY or another negative errno. */
int pg_state_lock(const char *dir, struct pg_err *err);

/* One process at a time grafts into the pod `uid`, so that the others find its agent. Does not
 * wait: a descriptor to close, -EBUSY, or another negative errno. */
int pg_state_lock_pod(const char *dir, const char *uid);

/* Writes `n` bytes as dir/name with mode 0600: a new file takes the old one's place in one step, so
 * that a reader sees either. Under the lock. */
int pg_state_write(const char *dir, const char *name, const void *bytes, size_t n,
		   struct pg_err *err);

/* Reads dir/name, at most `max` bytes, as a string of the caller's in *out and its length in *n.
 * -ENOENT: not there; -EPERM (with a hint): others can read it or own it; -EFBIG: larger. */
int pg_state_read(const char *dir, const char *name, size_t max, char **out, size_t *n,
		  struct pg_err *err);
