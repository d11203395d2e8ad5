#pragma once
#include <stddef.h>
#include <stdint.h>

#include "injector/output.h"

/* A table for people: columns as wide as their widest cell, two spaces between them. */
enum { PG_TEXT_TABLE_COLUMNS = 8 };

struct pg_text_table {
	const char *const *heads; /* borrowed */
	size_t columns;
	size_t widths[PG_TEXT_TABLE_COLUMNS]; /* in characters */
	char **cells;                         /* row by row; owned */
	size_t count, room;
	int failed; /* -ENOMEM: rows are missing */
};

void pg_text_table_init(struct pg_text_table *t, const char *const *heads, size_t columns);

/* Adds a row; the cells are copied. */
void pg_text_table_add(struct pg_text_table *t, const char *const *cells);

/* Prints heads and rows as results. */
void pg_text_table_print(const struct pg_text_table *t, struct pg_output *out);
void pg_text_table_fini(struct pg_text_table *t);

/* An age of so many seconds in the largest unit that says it without much loss: "45s", "10m",
 * "3h", "2d". */
void pg_age_text(uint64_t seconds, char out[16]);
