#include "injector/spdy.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "injector/spdy_dict.h"
#include "proto/base/auto.h"

/* SPDY protocol draft 3.1, 2.2: a control frame is 1 bit set, 15 bits version, 16 bits type; then
 * 8 bits flags and 24 bits length, as in a data frame. */
enum {
	CONTROL = 0x80,
	VERSION = 3,
	SYN_STREAM = 1,
	SYN_REPLY = 2,
	RST_STREAM = 3,
	PING = 6,
	GOAWAY = 7,
	FIN = 0x01,
};

enum { BLOCK_MAX = 512 }; /* our header block before and after compression */

static void put_control(uint8_t *p, uint16_t type, uint8_t flags, size_t n)
{
	pg_put_be16(p, CONTROL << 8 | VERSION);
	pg_put_be16(p + 2, type);
	pg_put_be32(p + 4, (uint32_t)flags << 24 | (uint32_t)n);
}

size_t pg_spdy_put_ping(uint8_t *p, uint32_t id)
{
	put_control(p, PING, 0, 4);
	pg_put_be32(p + PG_SPDY_HDR, id);
	return PG_SPDY_HDR + 4;
}

size_t pg_spdy_put_goaway(uint8_t *p, uint32_t last_stream)
{
	put_control(p, GOAWAY, 0, 8);
	pg_put_be32(p + PG_SPDY_HDR, last_stream);
	pg_put_be32(p + PG_SPDY_HDR + 4, 0);
	return PG_SPDY_HDR + 8;
}

static size_t put_text(uint8_t *p, const char *text)
{
	size_t n = strlen(text);
	pg_put_be32(p, (uint32_t)n);
	memcpy(p + 4, text, n);
	return 4 + n;
}

/* The block of names and values before compression (2.6.10). Returns its length. */
static size_t make_block(uint8_t block[BLOCK_MAX], const char *type, const char *port)
{
	const char *const words[] = { "streamtype", type, "port", port, "requestid", "0" };
	size_t n = 4;
	pg_put_be32(block, PG_LEN(words) / 2);
	for (size_t i = 0; i < PG_LEN(words); i++)
		n += put_text(block + n, words[i]);
	assert(n <= BLOCK_MAX);
	return n;
}

/* One SYN_STREAM: stream id, no associated stream, priority and slot 0, the compressed block. The
 * sync flush lets the peer read the block to its end; the deflate state goes on to the next. */
static int put_syn(struct pg_buf *out, z_stream *z, uint32_t stream, const char *type,
		   const char *port)
{
	uint8_t block[BLOCK_MAX], packed[BLOCK_MAX], head[PG_SPDY_HDR + 10] = { 0 };
	z->next_in = block;
	z->avail_in = (uInt)make_block(block, type, port);
	z->next_out = packed;
	z->avail_out = sizeof(packed);
	if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in != 0 || z->avail_out == 0)
		return -ENOBUFS;
	size_t n = sizeof(packed) - z->avail_out;
	put_control(head, SYN_STREAM, 0, 10 + n);
	pg_put_be32(head + PG_SPDY_HDR, stream);
	int rc = pg_buf_add(out, head, sizeof(head));
	return rc < 0 ? rc : pg_buf_add(out, packed, n);
}

int pg_spdy_put_pair(struct pg_buf *out, uint16_t port)
{
	z_stream z = { .next_in = NULL };
	char text[8];
	uint8_t fin[PG_SPDY_HDR];
	snprintf(text, sizeof(text), "%u", port);
	pg_spdy_put_data(fin, PG_SPDY_ERROR_STREAM, true, 0);
	if (deflateInit(&z, Z_BEST_COMPRESSION) != Z_OK)
		return -ENOMEM;
	int rc = deflateSetDictionary(&z, pg_spdy_dict, PG_SPDY_DICT_BYTES) == Z_OK ? 0 : -ENOMEM;
	if (rc == 0)
		rc = put_syn(out, &z, PG_SPDY_ERROR_STREAM, "error", text);
	if (rc == 0)
		rc = pg_buf_add(out, fin, sizeof(fin));
	if (rc == 0)
		rc = put_syn(out, &z, PG_SPDY_DATA_STREAM, "data", text);
	deflateEnd(&z);
	return rc;
}

/* Decoding. A data frame's payload is handed on as it comes; of a control frame the first 8 bytes
 * are kept, which is all that we look at, and the rest is passed over. */

static bool is_control(const struct pg_spdy_decoder *d)
{
	return d->head[0] & CONTROL;
}

static bool has_fin(const struct pg_spdy_decoder *d)
{
	return d->head[4] & FIN;
}

static uint32_t payload_word(const struct pg_spdy_decoder *d, size_t i)
{
	return pg_get_be32(d->head + PG_SPDY_HDR + 4 * i);
}

/* Least payload of a control frame that we act upon; 0 for all others. */
static size_t least_payload(uint16_t type)
{
	switch (type) {
	case SYN_REPLY:
	case PING:
		return 4;
	case RST_STREAM:
	case GOAWAY:
		return 8;
	default:
		return 0;
	}
}

/* The header is complete. */
static int start_frame(struct pg_spdy_decoder *d)
{
	d->left = pg_get_be32(d->head + 4) & 0xffffff;
	if (!is_control(d))
		return d->left > 0 || !has_fin(d)
			       ? 0
			       : d->ops->data(d->ctx, pg_get_be32(d->head), d->head, 0, true);
	if ((pg_get_be16(d->head) & 0x7fff) != VERSION)
		return -EPROTO;
	return d->left < least_payload(pg_get_be16(d->head + 2)) ? -EPROTO : 0;
}

static int end_control(struct pg_spdy_decoder *d)
{
	uint32_t stream = payload_word(d, 0) & 0x7fffffff;
	switch (pg_get_be16(d->head + 2)) {
	case SYN_REPLY:
		return d->ops->reply(d->ctx, stream, has_fin(d));
	case RST_STREAM:
		return d->ops->reset(d->ctx, stream, payload_word(d, 1));
	case PING:
		return d->ops->ping(d->ctx, payload_word(d, 0));
	case GOAWAY:
		return d->ops->goaway(d->ctx, stream, payload_word(d, 1));
	default:
		return 0;
	}
}

/* Takes from the `n` bytes at `p` what belongs to the frame's payload: how many, or an error. */
static ssize_t take_payload(struct pg_spdy_decoder *d, const uint8_t *p, size_t n)
{
	size_t piece = pg_min(n, d->left);
	int rc = 0;
	d->left -= piece;
	if (is_control(d)) {
		size_t keep = pg_min(piece, PG_SPDY_CONTROL_MAX - d->have);
		memcpy(d->head + d->have, p, keep);
		d->have += keep;
	} else if (piece > 0) {
		rc = d->ops->data(d->ctx, pg_get_be32(d->head), p, piece,
				  has_fin(d) && d->left == 0);
	}
	return rc < 0 ? rc : (ssize_t)piece;
}

int pg_spdy_feed(struct pg_spdy_decoder *d, const uint8_t *p, size_t n)
{
	while (n > 0) {
		if (d->have < PG_SPDY_HDR) {
			size_t piece = pg_min(n, PG_SPDY_HDR - d->have);
			memcpy(d->head + d->have, p, piece);
			d->have += piece;
			p += piece;
			n -= piece;
			if (d->have < PG_SPDY_HDR)
				return 0;
			int rc = start_frame(d);
			if (rc < 0)
				return rc;
		}
		ssize_t used = take_payload(d, p, n);
		if (used < 0)
			return (int)used;
		p += used;
		n -= (size_t)used;
		if (d->left > 0)
			continue;
		int rc = is_control(d) ? end_control(d) : 0;
		d->have = 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}
