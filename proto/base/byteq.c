#include "proto/base/byteq.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/num.h"

enum { SMALLEST = 4096 };

void pg_byteq_init(struct pg_byteq *q, size_t cap)
{
	assert(cap > 0);
	*q = (struct pg_byteq){ .cap = cap };
}

void pg_byteq_fini(struct pg_byteq *q)
{
	free(q->ring);
	pg_byteq_init(q, q->cap);
}

/* Makes the ring at least `need` bytes large, the content unrolled to its start. */
static int grow(struct pg_byteq *q, size_t need)
{
	size_t size = q->size ? q->size : SMALLEST;
	while (size < need)
		size *= 2;
	size = pg_min(size, q->cap);
	uint8_t *ring = pg_realloc(NULL, size, 1);
	if (!ring)
		return -ENOMEM;
	size_t first = pg_min(q->len, q->size - q->head);
	if (q->len > 0) {
		memcpy(ring, q->ring + q->head, first);
		memcpy(ring + first, q->ring, q->len - first);
	}
	free(q->ring);
	q->ring = ring;
	q->size = size;
	q->head = 0;
	return 0;
}

int pg_byteq_put(struct pg_byteq *q, const uint8_t *src, size_t n)
{
	if (n == 0)
		return 0;
	if (n > q->cap - q->len)
		return -ENOBUFS;
	if (n > q->size - q->len) {
		int rc = grow(q, q->len + n);
		if (rc < 0)
			return rc;
	}
	size_t tail = (q->head + q->len) % q->size;
	size_t first = pg_min(n, q->size - tail);
	memcpy(q->ring + tail, src, first);
	memcpy(q->ring, src + first, n - first);
	q->len += n;
	return 0;
}

size_t pg_byteq_peek(const struct pg_byteq *q, const uint8_t **run)
{
	if (q->len == 0)
		return 0;
	*run = q->ring + q->head;
	return pg_min(q->len, q->size - q->head);
}

void pg_byteq_drop(struct pg_byteq *q, size_t n)
{
	assert(n <= q->len);
	q->len -= n;
	if (q->len == 0)
		pg_byteq_fini(q);
	else
		q->head = (q->head + n) % q->size;
}
