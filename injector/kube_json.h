#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

/* Reading what an API server sent. Any member may be absent, null or of another type than
 * documented: then it counts as absent. */

/* Parses `n` bytes. The caller owns the result. NULL with *err set: no JSON. */
json_t *pg_json_parse(const char *text, size_t n, struct pg_err *err);

/* The value at a path such as "metadata.name", borrowed; NULL when absent. `o` may be NULL. */
json_t *pg_json_at(const json_t *o, const char *path);

/* The string there, borrowed; "" when absent. */
const char *pg_json_str(const json_t *o, const char *path);

/* The integer there; `absent` when there is none. */
int64_t pg_json_int(const json_t *o, const char *path, int64_t absent);

/* True when the value there is `true`. */
bool pg_json_true(const json_t *o, const char *path);

/* The string there into `out`, with control characters replaced. False, and "" in `out`, when it
 * is absent, empty, or needs more than `room` bytes with its NUL. */
bool pg_json_copy(const json_t *o, const char *path, char *out, size_t room);

/* The element of the array at `path` whose member `key` is the string `value`, borrowed; NULL. */
json_t *pg_json_find(const json_t *o, const char *path, const char *key, const char *value);
