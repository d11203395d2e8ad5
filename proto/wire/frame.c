#include "proto/wire/frame.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>

#include "proto/base/auto.h"
#include "proto/base/num.h"

/* What each type may carry, and whether it belongs to a stream or to the lane (stream 0). */
static const struct shape {
	uint16_t min, max;
	bool of_stream;
} shapes[] = {
	[PG_F_OPEN] = { 1, PG_FRAME_MAX, true },
	[PG_F_DATA] = { 1, PG_FRAME_MAX, true },
	[PG_F_CREDIT] = { 4, 4, true },
	[PG_F_EOF] = { 0, 0, true },
	[PG_F_RESET] = { 1, 1, true },
	[PG_F_ACCEPTED] = { 0, 0, true },
	[PG_F_PING] = { 8, 8, false },
	[PG_F_PONG] = { 8, 8, false },
	[PG_F_CONTROL] = { 1, PG_FRAME_MAX, false },
	[PG_F_RETURN] = { 4, 4, true },
};
static_assert(PG_LEN(shapes) == PG_F_COUNT, "one shape per type");

static const char *const reset_names[] = {
	[PG_RESET_ILLEGAL] = "illegal",          [PG_RESET_PEER] = "reset by its peer",
	[PG_RESET_REFUSED] = "refused",          [PG_RESET_TIMEOUT] = "timed out",
	[PG_RESET_GOING] = "session ends",       [PG_RESET_LIMIT] = "limit reached",
	[PG_RESET_UNKNOWN] = "no such redirect",
};
static_assert(PG_LEN(reset_names) == PG_RESET_COUNT, "one name per reason");

static bool legal(unsigned type, size_t len, uint32_t stream)
{
	if (type <= PG_F_ILLEGAL || type >= PG_F_COUNT)
		return false;
	const struct shape *s = &shapes[type];
	return len >= s->min && len <= s->max && stream <= INT32_MAX &&
	       s->of_stream == (stream != 0);
}

int pg_frame_decode(const uint8_t *p, size_t n, struct pg_frame *out)
{
	if (n < PG_FRAME_HDR)
		return 0;
	uint16_t len = pg_get_be16(p + 2);
	uint32_t stream = pg_get_be32(p + 4);
	if (len > PG_FRAME_MAX)
		return -EMSGSIZE;
	if (p[1] != 0 || !legal(p[0], len, stream))
		return -EPROTO;
	*out = (struct pg_frame){ .type = (enum pg_frame_type)p[0], .len = len, .stream = stream };
	return PG_FRAME_HDR;
}

void pg_frame_encode(const struct pg_frame *f, uint8_t *p)
{
	assert(legal(f->type, f->len, f->stream));
	p[0] = (uint8_t)f->type;
	p[1] = 0;
	pg_put_be16(p + 2, f->len);
	pg_put_be32(p + 4, f->stream);
}

const char *pg_reset_name(enum pg_reset reason)
{
	assert(reason < PG_RESET_COUNT);
	return reset_names[reason];
}
