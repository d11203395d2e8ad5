#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "injector/lines.h"
#include "injector/told.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(void *ctx, const char *text, size_t size)
{
	static const char *const counts[] = { "open", "total", "bytes_in", "connections" };
	json_int_t *sum = ctx;
	struct pg_told told;
	if (text[size] != '\0')
		abort();
	if (pg_told_parse(text, size, &told) < 0)
		return;
	if (!json_is_object(told.object))
		abort();
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		json_int_t n = pg_told_count(told.object, counts[i]);
		if (n < 0 || n > PG_TOLD_MOST)
			abort();
		*sum = n;
	}
	json_decref(told.object);
}

/* Whatever another process writes, and in whichever pieces it comes: the first byte says how large
 * they are, at most. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pg_lines lines;
	json_int_t sum = 0;
	size_t step = size > 0 ? 1 + (size_t)data[0] * 64 : 1;
	for (size_t at = 1; at < size;) {
		char *room;
		size_t n = pg_lines_room(&lines, &room);
		if (n == 0)
			abort();
		n = n < step ? n : step;
		n = n < size - at ? n : size - at;
		memcpy(room, data + at, n);
		pg_lines_added(&lines, n, take, &sum);
		at += n;
	}
	pg_lines_end(&lines, take, &sum);
	return 0;
}
