#include "proto/base/json_out.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static void add(struct pg_json *j, const void *p, size_t n)
{
	if (j->rc == 0)
		j->rc = pg_buf_add(j->buf, p, n);
}

static void add_str(struct pg_json *j, const char *text)
{
	add(j, text, strlen(text));
}

static void begin_value(struct pg_json *j)
{
	if (j->needs_comma)
		add_str(j, ",");
	j->needs_comma = true;
}

void pg_json_open(struct pg_json *j, char bracket)
{
	assert(bracket == '{' || bracket == '[');
	begin_value(j);
	add(j, &bracket, 1);
	j->needs_comma = false;
}

void pg_json_close(struct pg_json *j, char bracket)
{
	assert(bracket == '}' || bracket == ']');
	add(j, &bracket, 1);
	j->needs_comma = true;
}

void pg_json_key(struct pg_json *j, const char *name)
{
	pg_json_str(j, name);
	add_str(j, ":");
	j->needs_comma = false;
}

/* Bytes at `p` that go out as they are: a run of UTF-8 without quote, backslash and controls. */
static size_t plain_run(const uint8_t *p, size_t n)
{
	size_t run = 0;
	while (run < n) {
		size_t length = pg_utf8_length(p + run, n - run);
		bool escaped = length == 1 &&
			       (p[run] < 0x20 || p[run] == 0x7f || p[run] == '"' || p[run] == '\\');
		if (length == 0 || escaped)
			break;
		run += length;
	}
	return run;
}

/* The byte at which a plain run ended. */
static void add_special(struct pg_json *j, uint8_t byte)
{
	static const char shorts[] = "\"\"\\\\\nn\tt\rr\bb\ff"; /* pairs: byte, letter */
	for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
		if (shorts[i] == (char)byte) {
			add(j, (char[]){ '\\', shorts[i + 1] }, 2);
			return;
		}
	}
	char escape[8];
	snprintf(escape, sizeof(escape), "\\u%04x", byte);
	add_str(j, byte < 0x80 ? escape : REPLACEMENT);
}

void pg_json_strn(struct pg_json *j, const void *text, size_t n)
{
	const uint8_t *p = text;
	begin_value(j);
	add_str(j, "\"");
	while (n > 0) {
		size_t run = plain_run(p, n);
		add(j, p, run);
		if (run < n)
			add_special(j, p[run++]);
		p += run;
		n -= run;
	}
	add_str(j, "\"");
}

void pg_json_str(struct pg_json *j, const char *text)
{
	if (text)
		pg_json_strn(j, text, strlen(text));
	else
		pg_json_raw(j, "null");
}

void pg_json_u64(struct pg_json *j, uint64_t v)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, v);
	pg_json_raw(j, text);
}

void pg_json_i64(struct pg_json *j, int64_t v)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRId64, v);
	pg_json_raw(j, text);
}

void pg_json_bool(struct pg_json *j, bool v)
{
	pg_json_raw(j, v ? "true" : "false");
}

void pg_json_raw(struct pg_json *j, const char *json)
{
	begin_value(j);
	add_str(j, json);
}
