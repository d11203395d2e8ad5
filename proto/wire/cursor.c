#include "proto/wire/cursor.h"

#include "proto/base/num.h"

const uint8_t *pg_cursor_bytes(struct pg_cursor *c, size_t n)
{
	if (c->is_short || n > c->left) {
		c->is_short = true;
		return NULL;
	}
	const uint8_t *p = c->at;
	c->at += n;
	c->left -= n;
	return p;
}

uint8_t pg_cursor_u8(struct pg_cursor *c)
{
	const uint8_t *p = pg_cursor_bytes(c, 1);
	return p ? *p : 0;
}

uint16_t pg_cursor_be16(struct pg_cursor *c)
{
	const uint8_t *p = pg_cursor_bytes(c, 2);
	return p ? pg_get_be16(p) : 0;
}

uint32_t pg_cursor_be32(struct pg_cursor *c)
{
	const uint8_t *p = pg_cursor_bytes(c, 4);
	return p ? pg_get_be32(p) : 0;
}

uint64_t pg_cursor_be64(struct pg_cursor *c)
{
	const uint8_t *p = pg_cursor_bytes(c, 8);
	return p ? pg_get_be64(p) : 0;
}

bool pg_cursor_done(const struct pg_cursor *c)
{
	return !c->is_short && c->left == 0;
}
