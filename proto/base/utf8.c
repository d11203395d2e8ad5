#include "proto/base/utf8.h"

#include <string.h>

/* Per lead byte: the length, and the range of the second byte (RFC 3629 section 4). */
static const struct lead {
	uint8_t first, last, length, lo, hi;
} leads[] = {
	{ 0x00, 0x7f, 1, 0, 0 },       { 0xc2, 0xdf, 2, 0x80, 0xbf }, { 0xe0, 0xe0, 3, 0xa0, 0xbf },
	{ 0xe1, 0xec, 3, 0x80, 0xbf }, { 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf },
	{ 0xf0, 0xf0, 4, 0x90, 0xbf }, { 0xf1, 0xf3, 4, 0x80, 0xbf }, { 0xf4, 0xf4, 4, 0x80, 0x8f },
};

static const struct lead *lead_of(uint8_t byte)
{
	for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++)
		if (byte >= leads[i].first && byte <= leads[i].last)
			return &leads[i];
	return NULL;
}

size_t pg_utf8_length(const uint8_t *p, size_t n)
{
	const struct lead *lead = n > 0 ? lead_of(p[0]) : NULL;
	if (!lead || lead->length > n)
		return 0;
	if (lead->length > 1 && (p[1] < lead->lo || p[1] > lead->hi))
		return 0;
	for (size_t i = 2; i < lead->length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return lead->length;
}

bool pg_utf8_is_control(const uint8_t *p, size_t length)
{
	return (length == 1 && (p[0] < 0x20 || p[0] == 0x7f)) ||
	       (length == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

bool pg_utf8_is_plain(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t left = strlen(text);
	while (left > 0) {
		size_t n = pg_utf8_length(p, left);
		if (n == 0 || pg_utf8_is_control(p, n))
			return false;
		p += n;
		left -= n;
	}
	return true;
}
