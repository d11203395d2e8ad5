#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"

/* A writer of JSON (RFC 8259) into a buffer: it places commas, escapes strings, and remembers the
 * first failure, so that a caller writes all and asks once:
 *
 *   struct pg_json j = pg_json(&buf);
 *   pg_json_open(&j, '{');
 *   pg_json_member_str(&j, "name", name);
 *   pg_json_close(&j, '}');
 *   return pg_json_end(&j);
 *
 * Nesting is the caller's to get right. Strings may be any bytes: what is not UTF-8 becomes U+FFFD,
 * one for each such byte, so the output is always valid. */
struct pg_json {
	struct pg_buf *buf; /* borrowed */
	int rc;             /* 0, or the buffer's first failure */
	bool needs_comma;
};

static inline struct pg_json pg_json(struct pg_buf *buf)
{
	return (struct pg_json){ .buf = buf };
}

/* '{' or '[', and '}' or ']'. */
void pg_json_open(struct pg_json *j, char bracket);
void pg_json_close(struct pg_json *j, char bracket);

/* The name of the next member; a value or pg_json_open() follows. */
void pg_json_key(struct pg_json *j, const char *name);

void pg_json_str(struct pg_json *j, const char *text); /* NULL writes null */
void pg_json_strn(struct pg_json *j, const void *text, size_t n);
void pg_json_u64(struct pg_json *j, uint64_t v);
void pg_json_i64(struct pg_json *j, int64_t v);
void pg_json_bool(struct pg_json *j, bool v);

/* JSON as it is: a value, or members ("\"a\":1,\"b\":2") inside an object. */
void pg_json_raw(struct pg_json *j, const char *json);

static inline void pg_json_member_str(struct pg_json *j, const char *name, const char *text)
{
	pg_json_key(j, name);
	pg_json_str(j, text);
}

static inline void pg_json_member_u64(struct pg_json *j, const char *name, uint64_t v)
{
	pg_json_key(j, name);
	pg_json_u64(j, v);
}

static inline void pg_json_member_bool(struct pg_json *j, const char *name, bool v)
{
	pg_json_key(j, name);
	pg_json_bool(j, v);
}

/* 0, or -ENOBUFS or -ENOMEM of the first write that failed; nothing was written after it. */
static inline int pg_json_end(const struct pg_json *j)
{
	return j->rc;
}
