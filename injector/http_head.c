#include "injector/http_head.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "injector/http.h"
#include "proto/base/num.h"

const char *pg_http_head_end(const struct pg_buf *in)
{
	const char *end = strstr(pg_buf_str(in), "\r\n\r\n");
	return end ? end + 4 : NULL;
}

int pg_http_head_status(const struct pg_buf *head)
{
	const char *line = pg_buf_str(head);
	uint64_t status;
	if (strncmp(line, "HTTP/1.", 7) != 0 || strlen(line) < 12 || line[8] != ' ' ||
	    pg_parse_u64n(line + 9, 3, 100, 999, &status) < 0)
		return 0;
	return (int)status;
}

const char *pg_http_head_value(const struct pg_buf *head, const char *name, size_t *n)
{
	size_t len = strlen(name);
	const char *end = pg_buf_str(head) + head->len;
	for (const char *line = strchr(pg_buf_str(head), '\n'); line; line = strchr(line, '\n')) {
		line++;
		if ((size_t)(end - line) <= len || strncasecmp(line, name, len) != 0 ||
		    line[len] != ':')
			continue;
		const char *value = line + len + 1;
		value += strspn(value, " \t");
		*n = strcspn(value, "\r\n");
		while (*n > 0 && isspace((unsigned char)value[*n - 1]))
			--*n;
		return value;
	}
	return NULL;
}

/* The hexadecimal size that starts a chunk at `p`; 0 for none. */
static size_t chunk_size(const char *p)
{
	size_t n = 0;
	for (int i = 0; i < 7 && isxdigit((unsigned char)p[i]); i++)
		n = n * 16 +
		    (size_t)(isdigit((unsigned char)p[i]) ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
	return n;
}

void pg_http_join_chunks(struct pg_buf *body)
{
	char *text = (char *)body->data;
	size_t at = 0, len = 0;
	while (at < body->len) {
		size_t n = chunk_size(text + at);
		const char *line_end = strstr(text + at, "\r\n");
		if (n == 0 || !line_end)
			break;
		at = (size_t)(line_end + 2 - text);
		n = pg_min(n, body->len - at);
		memmove(text + len, text + at, n);
		len += n;
		at = pg_min(at + n + 2, body->len);
	}
	body->len = len;
	if (text)
		text[len] = '\0';
}
