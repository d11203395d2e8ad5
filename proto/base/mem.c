#include "proto/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/num.h"

/* The one mutable pair of globals: a test's fault plan. Reached through the two calls below only.
 */
static size_t fail_after = SIZE_MAX;
static int failed;

void pg_mem_fail_after(size_t n)
{
	fail_after = n;
	failed = 0;
}

int pg_mem_failed(void)
{
	return failed;
}

static int fails_now(void)
{
	if (fail_after == SIZE_MAX)
		return 0;
	if (fail_after-- > 0)
		return 0;
	fail_after = SIZE_MAX;
	failed = 1;
	return 1;
}

void *pg_calloc(size_t n, size_t size)
{
	size_t bytes;
	if (!pg_mul(n, size, &bytes) || fails_now())
		return NULL;
	return calloc(bytes, 1);
}

void *pg_realloc(void *p, size_t n, size_t size)
{
	size_t bytes;
	if (!pg_mul(n, size, &bytes) || fails_now())
		return NULL;
	return realloc(p, bytes ? bytes : 1); /* of 0 bytes it would free `p`, still the caller's */
}

char *pg_strdup(const char *s)
{
	return pg_strndup(s, strlen(s));
}

char *pg_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = pg_calloc(len + 1, 1);
	if (copy)
		memcpy(copy, s, len);
	return copy;
}

char *pg_asprintf(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	char *text = pg_calloc((size_t)n + 1, 1);
	if (!text)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(text, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return text;
}
