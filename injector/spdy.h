#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/num.h"

/* SPDY/3.1 frames as Kubernetes' port-forward uses them: one pair of streams a connection, an error
 * stream and a data stream. Pure: bytes in, events out, bytes made. Flow control is not part of
 * it: no server of Kubernetes does any. */

enum {
	PG_SPDY_HDR = 8,
	PG_SPDY_CONTROL_MAX = 16, /* longest control frame that we write or look into */
	PG_SPDY_ERROR_STREAM = 1, /* the node writes text here; our half is closed at once */
	PG_SPDY_DATA_STREAM = 3,
};

/* Header of a data frame of `n` bytes, n < 2^24, in PG_SPDY_HDR bytes. */
static inline void pg_spdy_put_data(uint8_t *p, uint32_t stream, bool fin, size_t n)
{
	pg_put_be32(p, stream & 0x7fffffff);
	pg_put_be32(p + 4, (fin ? 1u << 24 : 0) | ((uint32_t)n & 0xffffff));
}

/* Opens the pair for `port` of the pod: both SYN_STREAM frames, and the end of our half of the
 * error stream. 0, -ENOMEM, or -ENOBUFS. */
int pg_spdy_put_pair(struct pg_buf *out, uint16_t port);

/* Control frames; each writes and returns its length. */
size_t pg_spdy_put_ping(uint8_t *p, uint32_t id);
size_t pg_spdy_put_goaway(uint8_t *p, uint32_t last_stream);

/* What the peer said. A callback returns 0, or a negative number that ends the decoding:
 * pg_spdy_feed() returns it at once and is not to be called again. */
struct pg_spdy_ops {
	/* A piece of a data frame, lent; `fin` with the last piece of the stream, n may be 0. */
	int (*data)(void *ctx, uint32_t stream, const uint8_t *p, size_t n, bool fin);
	/* SYN_REPLY: the peer accepted our stream. Its headers say nothing that we need: skipped.
	 */
	int (*reply)(void *ctx, uint32_t stream, bool fin);
	int (*reset)(void *ctx, uint32_t stream, uint32_t status);
	int (*ping)(void *ctx, uint32_t id);
	int (*goaway)(void *ctx, uint32_t last_stream, uint32_t status);
};

struct pg_spdy_decoder {
	const struct pg_spdy_ops *ops;
	void *ctx;
	uint8_t head[PG_SPDY_CONTROL_MAX]; /* header, then the first bytes of a control frame */
	size_t have;                       /* bytes of `head` */
	size_t left;                       /* bytes of the frame's payload still to come */
};

/* Takes any segmentation. 0, -EPROTO for what no SPDY/3.1 peer sends, or what a callback said. */
int pg_spdy_feed(struct pg_spdy_decoder *d, const uint8_t *p, size_t n);
