#include "e2e/peers/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "e2e/peers/util.h"

/* HTTP/1.1, as much of it as tests need: keep-alive, pipelining, bodies with a Content-Length. */

enum { HEAD, BODY };
#define HEAD_MAX 8191

/* The value of header `name` in the NUL-terminated head, or NULL. Ends at its "\r". */
static const char *header(const char *head, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
			line += n + 1;
			return line + strspn(line, " \t");
		}
	}
	return NULL;
}

/* Copies what may stand in a JSON string as it is; other bytes become '?'. */
static void plain(const char *from, size_t n, char *to, size_t cap)
{
	size_t i = 0;

	for (; i < n && i < cap - 1; i++) {
		bool harmless =
			from[i] >= ' ' && from[i] <= '~' && from[i] != '"' && from[i] != '\\';
		to[i] = '?';
		if (harmless)
			to[i] = from[i];
	}
	to[i] = '\0';
}

static void answer(struct conn *c)
{
	struct sockaddr_storage far = { 0 }, near = { 0 };
	socklen_t far_len = sizeof(far), near_len = sizeof(near);
	char peer[64], local[64], method[16], path[1024], body[1600], head[256];
	char *text = (char *)c->text;
	size_t method_len = strcspn(text, " "), path_at = method_len + 1;

	(void)getpeername(c->fd, (struct sockaddr *)&far, &far_len);
	(void)getsockname(c->fd, (struct sockaddr *)&near, &near_len);
	uint16_t port = address_print(&far, peer, sizeof(peer));
	uint16_t local_port = address_print(&near, local, sizeof(local));
	plain(text, method_len, method, sizeof(method));
	plain(text + path_at, strcspn(text + path_at, " \r"), path, sizeof(path));
	int n = snprintf(body, sizeof(body),
			 "{\"name\":\"%.64s\",\"method\":\"%s\",\"path\":\"%s\",\"peer\":\"%s\","
			 "\"port\":%u,\"local\":\"%s\",\"local_port\":%u,\"bytes\":%" PRIu64
			 ",\"crc32\":\"%08x\"}\n",
			 c->from->name, method, path, peer, port, local, local_port, c->count,
			 (unsigned)c->crc);
	const char *asked = header(text, "Connection");
	bool last = asked && strncasecmp(asked, "close", 5) == 0;
	int h = snprintf(head, sizeof(head),
			 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
			 "Content-Length: %d\r\nConnection: %s\r\n\r\n",
			 n, last ? "close" : "keep-alive");

	conn_send(c, head, (size_t)h);
	if (strcmp(method, "HEAD") != 0)
		conn_send(c, body, (size_t)n);
	if (last)
		c->end = true;
	c->phase = HEAD;
	c->text_len = 0;
}

static void refuse(struct conn *c, const char *status)
{
	char line[160];
	int n = snprintf(line, sizeof(line),
			 "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);

	conn_send(c, line, (size_t)n);
	c->end = true;
}

/* The head is complete and ends in NUL: what comes next? */
static void begin(struct conn *c)
{
	const char *text = (const char *)c->text, *length = header(text, "Content-Length");
	char number[24] = "0";

	if (strcspn(text, " ") == strcspn(text, " \r")) {
		if (length)
			snprintf(number, sizeof(number), "%.*s", (int)strcspn(length, " \t\r"),
				 length);
		c->count = 0;
		c->crc = 0;
		if (header(text, "Transfer-Encoding"))
			refuse(c, "411 Length Required");
		else if (!parse_u64(number, UINT64_MAX, &c->left))
			refuse(c, "400 Bad Request");
		else
			c->phase = BODY;
		if (c->phase == BODY && header(text, "Expect"))
			conn_send(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	} else {
		refuse(c, "400 Bad Request");
	}
}

/* Adds bytes to the head until its empty line: how many of them belong to it. */
static size_t take_head(struct conn *c, const uint8_t *bytes, size_t n)
{
	size_t used = 0;

	while (used < n && !c->end && c->phase == HEAD) {
		if (c->text_len == HEAD_MAX) {
			refuse(c, "431 Request Header Fields Too Large");
			break;
		}
		c->text[c->text_len++] = bytes[used++];
		if (c->text_len >= 4 && memcmp(c->text + c->text_len - 4, "\r\n\r\n", 4) == 0) {
			c->text[c->text_len] = '\0';
			begin(c);
		}
	}
	return used;
}

void http_data(struct conn *c, const uint8_t *bytes, size_t n)
{
	if (!c->text && !(c->text = calloc(1, HEAD_MAX + 1))) {
		conn_reset(c);
		return;
	}
	while (n > 0 && !c->end && !c->dead) {
		size_t used;

		if (c->phase == HEAD) {
			used = take_head(c, bytes, n);
		} else {
			used = n < c->left ? n : (size_t)c->left;
			c->crc = crc32_add(c->crc, bytes, used);
			c->count += used;
			c->left -= used;
		}
		bytes += used;
		n -= used;
		if (c->phase == BODY && c->left == 0 && !c->end)
			answer(c);
	}
	if (c->phase == HEAD && c->text_len == 0) { /* idle: 10,000 of these stay cheap */
		free(c->text);
		c->text = NULL;
	}
}
