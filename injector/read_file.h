#pragma once
#include <stddef.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"

/* Adds the whole content of `path` (a pipe will do) to `out`. 0, or a negative errno with a message
 * that names the file, class PG_LOCAL: as open(2) and read(2), -EFBIG over the ceiling of `out`.
 * `out` may hold a part on failure. */
int pg_read_file(const char *path, struct pg_buf *out, struct pg_err *err);
