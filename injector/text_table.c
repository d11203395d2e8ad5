#include "injector/text_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/buf.h"
#include "proto/base/mem.h"

enum { TABLE_BYTES = 4 << 20 };

/* Bytes that begin a character of UTF-8. */
static size_t characters(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void pg_text_table_init(struct pg_text_table *t, const char *const *heads, size_t columns)
{
	*t = (struct pg_text_table){ .heads = heads, .columns = columns };
	for (size_t i = 0; i < columns; i++)
		t->widths[i] = characters(heads[i]);
}

static int grow(struct pg_text_table *t)
{
	if (t->count + t->columns <= t->room)
		return 0;
	size_t room = t->room * 2 + t->columns * 16;
	char **cells = pg_realloc(t->cells, room, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	t->cells = cells;
	t->room = room;
	return 0;
}

void pg_text_table_add(struct pg_text_table *t, const char *const *cells)
{
	if (t->failed == 0)
		t->failed = grow(t);
	for (size_t i = 0; i < t->columns && t->failed == 0; i++) {
		size_t width = characters(cells[i]);
		if (width > t->widths[i])
			t->widths[i] = width;
		t->cells[t->count] = pg_strdup(cells[i]);
		if (t->cells[t->count])
			t->count++;
		else
			t->failed = -ENOMEM;
	}
}

static void print_row(const struct pg_text_table *t, const char *const *cells,
		      struct pg_output *out)
{
	struct pg_buf line = PG_BUF_INIT(TABLE_BYTES);
	for (size_t i = 0; i < t->columns; i++) {
		size_t pad = i + 1 < t->columns ? t->widths[i] - characters(cells[i]) + 2 : 0;
		pg_buf_addf(&line, "%s%*s", cells[i], (int)pad, "");
	}
	pg_output_print(out, "%s", pg_buf_str(&line));
	pg_buf_fini(&line);
}

void pg_text_table_print(const struct pg_text_table *t, struct pg_output *out)
{
	print_row(t, t->heads, out);
	for (size_t at = 0; at + t->columns <= t->count; at += t->columns)
		print_row(t, (const char *const *)t->cells + at, out);
	if (t->failed < 0)
		pg_output_warn(out, "there is no memory for all rows");
}

void pg_text_table_fini(struct pg_text_table *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct pg_text_table){ .count = 0 };
}

void pg_age_text(uint64_t seconds, char out[16])
{
	if (seconds < 120)
		snprintf(out, 16, "%" PRIu64 "s", seconds);
	else if (seconds < 120 * 60)
		snprintf(out, 16, "%" PRIu64 "m", seconds / 60);
	else if (seconds < 48 * 3600)
		snprintf(out, 16, "%" PRIu64 "h", seconds / 3600);
	else
		snprintf(out, 16, "%" PRIu64 "d", seconds / 86400 % 1000000);
}
