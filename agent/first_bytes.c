#include "agent/first_bytes.h"

#include <string.h>
#include <strings.h>

#include "proto/base/mem.h"
#include "proto/base/num.h"

/* ---- HTTP/1 (RFC 9112) ---- */

/* Whether the header line, without its end, says that the kubelet asks: false with *is_agent set
 * when it says that somebody else does. */
static bool is_kubelet(const char *line, size_t n, bool *is_agent)
{
	static const char name[] = "User-Agent:", kubelet[] = "kube-probe/";
	size_t at = sizeof(name) - 1;
	if (n < at || strncasecmp(line, name, at) != 0)
		return false;
	*is_agent = true;
	while (at < n && (line[at] == ' ' || line[at] == '\t'))
		at++;
	return n - at >= sizeof(kubelet) - 1 &&
	       memcmp(line + at, kubelet, sizeof(kubelet) - 1) == 0;
}

static enum pg_first look_http1(const char *p, size_t n)
{
	const char *end, *line = memchr(p, '\n', n);
	while (line && (end = memchr(line + 1, '\n', n - (size_t)(line + 1 - p)))) {
		bool is_agent = false;
		size_t len = (size_t)(end - line - 1);
		if (len > 0 && line[len] == '\r')
			len--;
		if (is_kubelet(line + 1, len, &is_agent))
			return PG_FIRST_PROBE;
		if (len == 0 || is_agent)
			return PG_FIRST_OTHER;
		line = end;
	}
	return PG_FIRST_MORE;
}

/* ---- header compression of HTTP/2 (RFC 7541), as far as the path of a first request goes ---- */

enum { INDEX_PATH = 4, INDEX_PATH_TOO = 5, HUFFMAN = 0x80 };

static const char health[] = "/grpc.health.v1.Health/";

/* The same in Huffman's code of RFC 7541 appendix B: so many bits. */
enum { HEALTH_BITS = 132 };
static const uint8_t health_huffman[] = { 0x62, 0x6b, 0x2b, 0x22, 0xf3, 0x94, 0x74, 0x26, 0x75,
					  0xfb, 0x85, 0x7c, 0x65, 0x1d, 0x09, 0x9d, 0x80 };

struct block {
	const uint8_t *p, *end;
};

/* An integer with a prefix of `bits` in the byte at hand (5.1). False: cut short, or absurd. */
static bool take_int(struct block *b, unsigned bits, uint32_t *out)
{
	uint32_t max = (1u << bits) - 1;
	if (b->p == b->end)
		return false;
	*out = *b->p++ & max;
	for (unsigned shift = 0; *out >= max; shift += 7) {
		if (b->p == b->end || shift > 14)
			return false;
		uint8_t byte = *b->p++;
		*out += (uint32_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			break;
	}
	return true;
}

/* A string (5.2), borrowed. */
static bool take_string(struct block *b, const uint8_t **p, uint32_t *n, bool *is_huffman)
{
	if (b->p == b->end)
		return false;
	*is_huffman = *b->p & HUFFMAN;
	if (!take_int(b, 7, n) || *n > (size_t)(b->end - b->p))
		return false;
	*p = b->p;
	b->p += *n;
	return true;
}

static bool is_health(const uint8_t *p, size_t n, bool is_huffman)
{
	enum { WHOLE = HEALTH_BITS / 8 };
	if (!is_huffman)
		return n >= sizeof(health) - 1 && memcmp(p, health, sizeof(health) - 1) == 0;
	return n > WHOLE && memcmp(p, health_huffman, WHOLE) == 0 &&
	       (p[WHOLE] & 0xf0) == health_huffman[WHOLE];
}

/* Steps over one field, or says what its path is. */
static bool next_field(struct block *b, bool *is_path, bool *is_probe)
{
	uint8_t kind = *b->p;
	uint32_t index, n;
	const uint8_t *text;
	bool is_huffman;
	if (kind & 0x80) { /* name and value from the table */
		if (!take_int(b, 7, &index))
			return false;
		*is_path = index == INDEX_PATH || index == INDEX_PATH_TOO;
		return true;
	}
	if ((kind & 0xe0) == 0x20) /* the table's size */
		return take_int(b, 5, &index);
	if (!take_int(b, (kind & 0x40) ? 6 : 4, &index))
		return false;
	if (index == 0 && !take_string(b, &text, &n, &is_huffman))
		return false;
	if (!take_string(b, &text, &n, &is_huffman))
		return false;
	*is_path = index == INDEX_PATH || index == INDEX_PATH_TOO;
	*is_probe = *is_path && is_health(text, n, is_huffman);
	return true;
}

static bool asks_for_health(const uint8_t *p, size_t n)
{
	struct block b = { p, p + n };
	bool is_path = false, is_probe = false;
	while (b.p < b.end && !is_path)
		if (!next_field(&b, &is_path, &is_probe))
			return false;
	return is_probe;
}

/* ---- HTTP/2 (RFC 9113) ---- */

enum {
	FRAME_HEAD = 9,
	FRAME_MOST = 16384, /* before anybody has allowed more */
	HEADERS = 1,
	SETTINGS = 4,
	FLAG_ACK = 0x1,
	FLAG_PADDED = 0x8,
	FLAG_PRIORITY = 0x20,
	PRIORITY_BYTES = 5,
};

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const uint8_t pg_first_greeting[PG_FIRST_GREETING] = { 0, 0, 0, SETTINGS, 0, 0, 0, 0, 0 };

struct frame {
	const uint8_t *payload;
	size_t len;
	uint8_t type, flags;
};

/* The frame at `at`: its size with its head, 0 when it is not whole yet. */
static size_t frame_at(const uint8_t *p, size_t n, size_t at, struct frame *out)
{
	if (n - at < FRAME_HEAD)
		return 0;
	out->len = (size_t)p[at] << 16 | (size_t)p[at + 1] << 8 | p[at + 2];
	out->type = p[at + 3];
	out->flags = p[at + 4];
	out->payload = p + at + FRAME_HEAD;
	return n - at - FRAME_HEAD < out->len ? 0 : FRAME_HEAD + out->len;
}

static bool is_ack(const struct frame *f)
{
	return f->type == SETTINGS && (f->flags & FLAG_ACK);
}

static bool is_probe_request(const struct frame *f)
{
	size_t skip = f->flags & FLAG_PADDED ? 1 : 0;
	if (f->flags & FLAG_PRIORITY)
		skip += PRIORITY_BYTES;
	size_t pad = f->flags & FLAG_PADDED && f->len > 0 ? f->payload[0] : 0;
	return f->len >= skip + pad && asks_for_health(f->payload + skip, f->len - skip - pad);
}

static enum pg_first look_http2(const uint8_t *p, size_t n, bool greeted)
{
	size_t at = sizeof(preface) - 1, size;
	struct frame f = { .type = SETTINGS };
	enum pg_first verdict = PG_FIRST_MORE;
	bool is_first = true, is_acknowledged = !greeted;
	while ((size = frame_at(p, n, at, &f)) > 0) {
		if (is_first && (f.type != SETTINGS || is_ack(&f)))
			return PG_FIRST_OTHER;
		if (f.type == HEADERS && verdict == PG_FIRST_MORE)
			verdict = is_probe_request(&f) ? PG_FIRST_PROBE : PG_FIRST_OTHER;
		is_acknowledged = is_acknowledged || is_ack(&f);
		is_first = false;
		at += size;
	}
	if (verdict != PG_FIRST_MORE && is_acknowledged)
		return verdict;
	if (n - at >= FRAME_HEAD && f.len > FRAME_MOST)
		return PG_FIRST_OTHER;
	return at == n && !is_first && !greeted ? PG_FIRST_GREET : PG_FIRST_MORE;
}

size_t pg_first_forget_greeting(uint8_t *p, size_t n)
{
	size_t at = sizeof(preface) - 1, size;
	struct frame f;
	while (at < n && (size = frame_at(p, n, at, &f)) > 0) {
		if (is_ack(&f)) {
			memmove(p + at, p + at + size, n - at - size);
			return n - size;
		}
		at += size;
	}
	return n;
}

/* ---- both ---- */

static bool begins_like(const uint8_t *p, size_t n, const char *text, size_t text_len)
{
	return memcmp(p, text, pg_min(n, text_len)) == 0;
}

enum pg_first pg_first_look(const uint8_t *p, size_t n, bool grpc, bool greeted)
{
	static const char get[] = "GET ";
	enum pg_first verdict = PG_FIRST_OTHER;
	if (n == 0)
		return PG_FIRST_MORE;
	if (begins_like(p, n, get, sizeof(get) - 1))
		verdict = look_http1((const char *)p, n);
	else if (grpc && begins_like(p, n, preface, sizeof(preface) - 1))
		verdict = n < sizeof(preface) - 1 ? PG_FIRST_MORE : look_http2(p, n, greeted);
	return verdict == PG_FIRST_MORE && n >= PG_FIRST_MAX ? PG_FIRST_OTHER : verdict;
}
