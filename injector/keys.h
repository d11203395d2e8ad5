#pragma once
#include "proto/wire/auth.h"

/* The person's Ed25519 key: made at first use, kept in the state folder as `key` with mode 0600.
 * Its public half names the person to every agent; whoever has the file is that person. */

/* Reads the key of `dir` (pg_state_dir()), or makes one. 0; -EPERM with a hint when others can
 * read it, -EINVAL when its content is no key, or another negative errno (all PG_LOCAL). Of two
 * processes that come first, both get the same key. */
int pg_keys_load(const char *dir, struct pg_keys *out, struct pg_err *err);

/* Only reads it: -ENOENT when there is none. */
int pg_keys_read(const char *dir, struct pg_keys *out, struct pg_err *err);

/* The file's content: "podgraft-key-1 BASE64\n", the base64 of the 64 secret bytes. Pure. Parsing
 * returns -EINVAL for anything else, a pair that does not fit together included. */
enum { PG_KEY_TEXT = 128 };
void pg_keys_format(const struct pg_keys *keys, char out[PG_KEY_TEXT]);
int pg_keys_parse(const char *text, struct pg_keys *out);
