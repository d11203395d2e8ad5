#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A checked reader over borrowed bytes: a read either fits, or yields zero and marks the cursor
 * as short for good. So a decoder reads all its fields and asks once, at the end. */
struct pg_cursor {
	const uint8_t *at;
	size_t left;
	bool is_short; /* some read did not fit */
};

static inline struct pg_cursor pg_cursor(const void *bytes, size_t n)
{
	return (struct pg_cursor){ .at = bytes, .left = n };
}

/* The next big-endian number; 0 when it does not fit. */
uint8_t pg_cursor_u8(struct pg_cursor *c);
uint16_t pg_cursor_be16(struct pg_cursor *c);
uint32_t pg_cursor_be32(struct pg_cursor *c);
uint64_t pg_cursor_be64(struct pg_cursor *c);

/* Lends the next `n` bytes; NULL when they do not fit. */
const uint8_t *pg_cursor_bytes(struct pg_cursor *c, size_t n);

/* True when every read fitted and nothing is left. */
bool pg_cursor_done(const struct pg_cursor *c);
