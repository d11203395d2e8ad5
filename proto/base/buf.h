#pragma once
#include <stddef.h>
#include <stdint.h>

#include "proto/base/auto.h"

/* A growing run of bytes with a ceiling, always followed by a NUL that is not counted, so that
 * `(char *)b.data` is a string wherever the content is text. Not thread-safe. */
struct pg_buf {
	uint8_t *data; /* NULL while nothing was added; owned */
	size_t len;    /* bytes used */
	size_t cap;    /* bytes allocated */
	size_t max;    /* ceiling of len */
};

/* An empty buffer for at most `max` bytes; allocates nothing. */
#define PG_BUF_INIT(ceiling)     \
	{                        \
		.max = (ceiling) \
	}

/* Frees the content; the buffer is empty and usable again. */
void pg_buf_fini(struct pg_buf *b);

/* Adds all `n` bytes of `src`, or nothing: 0, -ENOBUFS over the ceiling, -ENOMEM. */
int pg_buf_add(struct pg_buf *b, const void *src, size_t n);
int pg_buf_add_str(struct pg_buf *b, const char *text);
int pg_buf_addf(struct pg_buf *b, const char *fmt, ...) PG_PRINTF(2, 3);

/* Makes room for `n` bytes more and lends them at *at; pg_buf_added() counts what was written. */
int pg_buf_reserve(struct pg_buf *b, size_t n, uint8_t **at);
void pg_buf_added(struct pg_buf *b, size_t n);

/* Removes the oldest `n` bytes, n <= len. */
void pg_buf_drop(struct pg_buf *b, size_t n);

/* The content as a string: "" while nothing was added. Borrowed until the next change. */
const char *pg_buf_str(const struct pg_buf *b);
