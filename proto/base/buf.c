#include "proto/base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/num.h"

void pg_buf_fini(struct pg_buf *b)
{
	free(b->data);
	*b = (struct pg_buf){ .max = b->max };
}

int pg_buf_reserve(struct pg_buf *b, size_t n, uint8_t **at)
{
	if (n > b->max - b->len)
		return -ENOBUFS;
	size_t need = b->len + n + 1;
	if (need > b->cap) {
		size_t cap = pg_max(need, pg_min(pg_max(b->cap * 2, 64), b->max + 1));
		uint8_t *data = pg_realloc(b->data, cap, 1);
		if (!data)
			return -ENOMEM;
		b->data = data;
		b->cap = cap;
		b->data[b->len] = '\0';
	}
	*at = b->data + b->len;
	return 0;
}

void pg_buf_added(struct pg_buf *b, size_t n)
{
	assert(b->data && n < b->cap - b->len);
	b->len += n;
	b->data[b->len] = '\0';
}

int pg_buf_add(struct pg_buf *b, const void *src, size_t n)
{
	uint8_t *at;
	if (n == 0)
		return 0;
	int rc = pg_buf_reserve(b, n, &at);
	if (rc < 0)
		return rc;
	memcpy(at, src, n);
	pg_buf_added(b, n);
	return 0;
}

int pg_buf_add_str(struct pg_buf *b, const char *text)
{
	return pg_buf_add(b, text, strlen(text));
}

int pg_buf_addf(struct pg_buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	uint8_t *at;
	int rc = n < 0 ? -EINVAL : pg_buf_reserve(b, (size_t)n, &at);
	if (rc < 0)
		return rc;
	va_start(ap, fmt);
	vsnprintf((char *)at, (size_t)n + 1, fmt, ap);
	va_end(ap);
	pg_buf_added(b, (size_t)n);
	return 0;
}

void pg_buf_drop(struct pg_buf *b, size_t n)
{
	assert(n <= b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}

const char *pg_buf_str(const struct pg_buf *b)
{
	return b->data ? (const char *)b->data : "";
}
