#pragma once
#include <stdint.h>

/* Reads all of `text` as a point in time, "2030-01-01T00:00:00Z", with or without a fraction
 * (dropped) and with Z or an offset, to seconds since 1970. 0, or -EINVAL with *out untouched.
 * RFC 3339 section 5.6. */
int pg_rfc3339_parse(const char *text, int64_t *out);
