#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers from strangers: big-endian fields, checked arithmetic, decimal text. */

static inline uint16_t pg_get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t pg_get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t pg_get_be64(const uint8_t *p)
{
	return (uint64_t)pg_get_be32(p) << 32 | pg_get_be32(p + 4);
}

static inline void pg_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void pg_put_be32(uint8_t *p, uint32_t v)
{
	pg_put_be16(p, (uint16_t)(v >> 16));
	pg_put_be16(p + 2, (uint16_t)v);
}

static inline void pg_put_be64(uint8_t *p, uint64_t v)
{
	pg_put_be32(p, (uint32_t)(v >> 32));
	pg_put_be32(p + 4, (uint32_t)v);
}

/* *out = a + b, a * b. False and *out untouched when that does not fit. */
static inline bool pg_add(size_t a, size_t b, size_t *out)
{
	if (b > SIZE_MAX - a)
		return false;
	*out = a + b;
	return true;
}

static inline bool pg_mul(size_t a, size_t b, size_t *out)
{
	if (a != 0 && b > SIZE_MAX / a)
		return false;
	*out = a * b;
	return true;
}

static inline uint64_t pg_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline size_t pg_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t pg_max(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Reads the decimal digits of all of `text` (no sign, no space): 0, -EINVAL when it is no such
 * number, -ERANGE outside lo..hi. *out is untouched on failure. */
int pg_parse_u64(const char *text, uint64_t lo, uint64_t hi, uint64_t *out);

/* The same for the `n` bytes at `text`, which need no NUL. */
int pg_parse_u64n(const char *text, size_t n, uint64_t lo, uint64_t hi, uint64_t *out);

/* A duration such as 90s, 5m, 2h, 250ms or 1m30s, as kubectl writes them, in milliseconds.
 * 0, -EINVAL, or -ERANGE (over 10 years). A bare number is refused, except 0. */
int pg_parse_duration(const char *text, uint64_t *ms_out);

/* A size such as 512, 64Ki, 64Mi, 1Gi, or 64M (powers of 1000), in bytes. 0, -EINVAL, -ERANGE. */
int pg_parse_size(const char *text, uint64_t *bytes_out);
