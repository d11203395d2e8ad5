#pragma once
#include <jansson.h>

/* A line of a podgraft's --output json, as the one that started it reads it. It comes from another
 * process: whatever it holds, what is read here is in range, and a member of another type counts
 * as absent. Pure. */

enum pg_told_kind {
	PG_TOLD_OTHER, /* an event that means nothing to us; programs may want it */
	PG_TOLD_READY, /* also "resumed" */
	PG_TOLD_LOST,
	PG_TOLD_STATUS,
	PG_TOLD_COUNTS,
	PG_TOLD_ENDED,
	PG_TOLD_WARNING,
	PG_TOLD_WAITING,
	PG_TOLD_TAKEN,
	PG_TOLD_FREED,
	PG_TOLD_CREDENTIAL, /* it asks for one: see credential.h */
	PG_TOLD_ERROR,      /* its last words */
};

struct pg_told {
	enum pg_told_kind kind;
	json_t *object; /* the caller's; of PG_TOLD_ERROR what stands in "error" */
};

/* 0, or -EPROTO for a line that is no such event; then *out is untouched. */
int pg_told_parse(const char *line, size_t n, struct pg_told *out);

/* The count there, 0 to PG_TOLD_MOST; 0 when there is none. A thousand of them can be added up. */
#define PG_TOLD_MOST ((json_int_t)1 << 53)
json_int_t pg_told_count(const json_t *object, const char *key);
