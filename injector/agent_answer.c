#include "injector/agent_answer.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "proto/base/err.h"
#include "proto/base/num.h"

/* Length of the head with its empty line, 0 when that has not come yet. */
static size_t head_length(const uint8_t *p, size_t n)
{
	const uint8_t *end = n > 0 ? memmem(p, n, "\r\n\r\n", 4) : NULL; /* `p` may be NULL */
	return end ? (size_t)(end - p) + 4 : 0;
}

/* The value of header `name` among the lines at `p`, less surrounding spaces: its length, or -1. */
static ptrdiff_t header(const char *p, size_t n, const char *name, const char **value)
{
	size_t name_len = strlen(name);
	while (n > 0) {
		const char *eol = memmem(p, n, "\r\n", 2);
		size_t line = eol ? (size_t)(eol - p) : n;
		if (line > name_len && strncasecmp(p, name, name_len) == 0 && p[name_len] == ':') {
			const char *v = p + name_len + 1;
			size_t len = line - name_len - 1;
			for (; len > 0 && *v == ' '; len--)
				v++;
			while (len > 0 && v[len - 1] == ' ')
				len--;
			*value = v;
			return (ptrdiff_t)len;
		}
		size_t step = eol ? line + 2 : n;
		p += step;
		n -= step;
	}
	return -1;
}

/* "HTTP/1.1 200 OK": the status, or -EPROTO. */
static int status_of(const char *p, size_t n)
{
	uint64_t status;
	if (n < 12 || memcmp(p, "HTTP/1.1 ", 9) != 0 ||
	    pg_parse_u64n(p + 9, 3, 100, 599, &status) < 0 ||
	    (n > 12 && p[12] != ' ' && p[12] != '\r'))
		return -EPROTO;
	return (int)status;
}

int pg_agent_answer_parse(const uint8_t *p, size_t n, struct pg_agent_answer *out)
{
	struct pg_agent_answer a = { .head_len = head_length(p, pg_min(n, PG_ANSWER_HEAD_MAX)) };
	if (a.head_len == 0)
		return n >= PG_ANSWER_HEAD_MAX ? -EMSGSIZE : 0;
	const char *head = (const char *)p, *value;
	a.status = status_of(head, a.head_len);
	if (a.status < 0)
		return a.status;
	ptrdiff_t len = header(head, a.head_len, "Content-Length", &value);
	uint64_t body = 0;
	if (len >= 0 && a.status != 101 &&
	    pg_parse_u64n(value, (size_t)len, 0, PG_ANSWER_BODY_MAX, &body) < 0)
		return -EMSGSIZE;
	a.body_len = (size_t)body;
	len = header(head, a.head_len, "Podgraft-Proof", &value);
	if (len >= (ptrdiff_t)sizeof(a.proof))
		return -EPROTO;
	if (len > 0)
		memcpy(a.proof, value, (size_t)len);
	if (n - a.head_len < a.body_len)
		return 0;
	*out = a;
	return 1;
}

/* Copies the string member `name` if it fits; false when it is missing or does not. */
static bool text_member(json_t *object, const char *name, char *out, size_t room)
{
	const char *text = json_string_value(json_object_get(object, name));
	size_t len = json_string_length(json_object_get(object, name));
	if (!text || len >= room || strlen(text) != len)
		return false;
	memcpy(out, text, len + 1);
	return true;
}

int pg_challenge_parse(const char *json, size_t n, struct pg_challenge *out)
{
	struct pg_challenge c = { 0 };
	char nonce[PG_B64_KEY], key[PG_B64_KEY];
	json_t *object = json_loadb(json, n, JSON_REJECT_DUPLICATES, NULL);
	json_t *protocol = json_object_get(object, "protocol");
	bool good = text_member(object, "nonce", nonce, sizeof(nonce)) &&
		    text_member(object, "agent_key", key, sizeof(key)) &&
		    text_member(object, "pod_uid", c.pod_uid, sizeof(c.pod_uid)) &&
		    text_member(object, "container", c.container, sizeof(c.container)) &&
		    text_member(object, "version", c.version, sizeof(c.version)) &&
		    json_is_integer(protocol) && json_integer_value(protocol) > 0 &&
		    json_integer_value(protocol) < 1000;
	if (good)
		c.protocol = (unsigned)json_integer_value(protocol);
	json_decref(object);
	if (!good || pg_b64_decode(nonce, c.nonce, sizeof(c.nonce)) < 0 ||
	    pg_b64_decode(key, c.agent_key, sizeof(c.agent_key)) < 0)
		return -EPROTO;
	*out = c;
	return 0;
}

static void spoken_member(json_t *object, const char *name, char out[256])
{
	const char *text = json_string_value(json_object_get(object, name));
	snprintf(out, 256, "%s", text ? text : "");
	pg_sanitize(out);
}

void pg_refusal_parse(const char *json, size_t n, char error[256], char hint[256])
{
	json_t *object = json_loadb(json, n, 0, NULL);
	spoken_member(object, "error", error);
	spoken_member(object, "hint", hint);
	json_decref(object);
}
