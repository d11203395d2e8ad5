#pragma once
#include <stddef.h>

#include "proto/base/auto.h"

/* Allocation with overflow check, and a hook that lets a test fail the nth call.
 * Everything of ours that lives on the heap comes from here and ends with free(). */

/* Zeroed array of `n` elements of `size` bytes. NULL: out of memory, or n * size overflows. */
void *pg_calloc(size_t n, size_t size);

/* `p` (may be NULL) grown or shrunk to n * size bytes, what is new not zeroed; on NULL `p` is as it
 * was. */
void *pg_realloc(void *p, size_t n, size_t size);

/* Copies of a string, of `n` bytes with a NUL added, of formatted text. NULL: out of memory. */
char *pg_strdup(const char *s);
char *pg_strndup(const char *s, size_t n);
char *pg_asprintf(const char *fmt, ...) PG_PRINTF(1, 2);

/* Tests only: the call after `n` further ones fails, once. (size_t)-1: none (the default).
 * pg_mem_failed() tells whether that has happened since. */
void pg_mem_fail_after(size_t n);
int pg_mem_failed(void);
