#pragma once
#include <stddef.h>
#include <stdint.h>

/* A bounded first-in, first-out queue of bytes. It allocates as it fills, doubling up to its
 * ceiling, and gives everything back when it runs empty: an idle connection holds nothing.
 * Not thread-safe: it belongs to one loop. */
struct pg_byteq {
	uint8_t *ring; /* owned; NULL while empty */
	size_t size;   /* bytes allocated, 4 KiB doubled, or `cap` */
	size_t head;   /* index of the oldest byte */
	size_t len;    /* bytes queued */
	size_t cap;    /* ceiling */
};

/* An empty queue for at most `cap` bytes, in the caller's storage. Allocates nothing. */
void pg_byteq_init(struct pg_byteq *q, size_t cap);

/* Frees what is queued. Every pointer lent by pg_byteq_peek() dies with it. */
void pg_byteq_fini(struct pg_byteq *q);

/* Copies all `n` bytes of `src`, or none: 0, -ENOBUFS over the ceiling, or -ENOMEM. */
int pg_byteq_put(struct pg_byteq *q, const uint8_t *src, size_t n);

/* Lends the oldest contiguous run: sets *run, returns its length in bytes (0: empty).
 * Borrowed until the next call on `q` that is not const. */
size_t pg_byteq_peek(const struct pg_byteq *q, const uint8_t **run);

/* Removes the oldest `n` bytes, n <= len. */
void pg_byteq_drop(struct pg_byteq *q, size_t n);
