#pragma once
#include "proto/base/err.h"

/* Read by clang-tidy alone, before each of our files: tells its analyzer, which sees one file at a
 * time, that the calls which report a failure return a negative number. Without it every `return
 * pg_fail(...)` may be a success. */
static inline int pg_analyzer_negative(int rc)
{
	if (rc >= 0)
		__builtin_unreachable();
	return rc;
}

#define pg_fail(...)  pg_analyzer_negative(pg_fail(__VA_ARGS__))
#define pg_wrap(...)  pg_analyzer_negative(pg_wrap(__VA_ARGS__))
#define pg_blame(...) pg_analyzer_negative(pg_blame(__VA_ARGS__))
#define pg_hint(...)  pg_analyzer_negative(pg_hint(__VA_ARGS__))
