#include "injector/ws.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/types.h>

#include "proto/base/num.h"

/* RFC 6455 5.2: FIN, 3 reserved bits, 4 bits opcode; mask bit, 7 bits length (126: u16 follows,
 * 127: u64), 4 bytes of mask, payload. */
enum { FIN = 0x80, RESERVED = 0x70, OPCODE = 0x0f, CONTROL = 0x08, MASKED = 0x80, LENGTH = 0x7f };

static void mask_payload(uint8_t *p, size_t n, const uint8_t mask[4])
{
	uint64_t word, wide;
	memcpy(&wide, mask, 4);
	memcpy((uint8_t *)&wide + 4, mask, 4);
	size_t i = 0;
	for (; i + sizeof(word) <= n; i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		word ^= wide;
		memcpy(p + i, &word, sizeof(word));
	}
	for (; i < n; i++)
		p[i] ^= mask[i % 4];
}

uint8_t *pg_ws_seal(uint8_t *payload, size_t n, enum pg_ws_opcode opcode, const uint8_t mask[4])
{
	uint8_t *head = payload - pg_ws_head_size(n);
	head[0] = (uint8_t)(FIN | opcode);
	if (n < 126) {
		head[1] = (uint8_t)(MASKED | n);
	} else if (n < 65536) {
		head[1] = MASKED | 126;
		pg_put_be16(head + 2, (uint16_t)n);
	} else {
		head[1] = MASKED | 127;
		pg_put_be64(head + 2, n);
	}
	memcpy(payload - 4, mask, 4);
	mask_payload(payload, n, mask);
	return head;
}

/* Bytes that the header has, as far as its first two bytes tell. */
static size_t head_size(const struct pg_ws_decoder *d)
{
	if (d->have < 2)
		return 2;
	uint8_t n = d->head[1] & LENGTH;
	return n < 126 ? 2 : n == 126 ? 4 : 10;
}

static bool is_control(const struct pg_ws_decoder *d)
{
	return d->head[0] & CONTROL;
}

static int check_opcode(const struct pg_ws_decoder *d)
{
	bool is_last = d->head[0] & FIN;
	switch (d->head[0] & OPCODE) {
	case PG_WS_CONTINUATION:
		return d->in_message ? 0 : -EPROTO;
	case PG_WS_BINARY:
		return d->in_message ? -EPROTO : 0;
	case PG_WS_CLOSE:
	case PG_WS_PING:
	case PG_WS_PONG:
		return is_last && d->left <= PG_WS_CONTROL_MAX ? 0 : -EPROTO;
	default:
		return -EPROTO;
	}
}

/* The header is complete. */
static int start_frame(struct pg_ws_decoder *d)
{
	uint8_t n = d->head[1] & LENGTH;
	d->left = n < 126 ? n : n == 126 ? pg_get_be16(d->head + 2) : pg_get_be64(d->head + 2);
	bool is_minimal = n < 126 || (n == 126 ? d->left >= 126 : d->left >= 65536);
	if ((d->head[0] & RESERVED) || (d->head[1] & MASKED) || !is_minimal || d->left >> 63)
		return -EPROTO;
	int rc = check_opcode(d);
	if (rc < 0 || is_control(d)) {
		d->control_have = 0;
		return rc;
	}
	d->is_first = d->is_first || (d->head[0] & OPCODE) == PG_WS_BINARY;
	d->in_message = !(d->head[0] & FIN);
	return 0;
}

static int end_control(struct pg_ws_decoder *d)
{
	switch (d->head[0] & OPCODE) {
	case PG_WS_PING:
		return d->ops->ping(d->ctx, d->control, d->control_have);
	case PG_WS_CLOSE:
		if (d->control_have == 1)
			return -EPROTO;
		return d->ops->close(d->ctx, d->control_have == 0 ? PG_WS_NO_CODE
								  : pg_get_be16(d->control));
	default:
		return 0; /* a pong: a sign of life, and any byte is one */
	}
}

/* Takes from the `n` bytes at `p` what belongs to the frame's payload: how many, or an error. */
static ssize_t take_payload(struct pg_ws_decoder *d, const uint8_t *p, size_t n)
{
	size_t piece = (size_t)pg_min_u64(n, d->left);
	int rc = 0;
	d->left -= piece;
	if (is_control(d)) {
		memcpy(d->control + d->control_have, p, piece);
		d->control_have += piece;
	} else if (piece > 0 || (d->is_first && d->left == 0 && !d->in_message)) {
		bool first = d->is_first;
		d->is_first = false;
		rc = d->ops->data(d->ctx, p, piece, first);
	}
	return rc < 0 ? rc : (ssize_t)piece;
}

int pg_ws_feed(struct pg_ws_decoder *d, const uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t size = head_size(d);
		if (d->have < size) {
			size_t piece = pg_min(n, size - d->have);
			memcpy(d->head + d->have, p, piece);
			d->have += piece;
			p += piece;
			n -= piece;
			if (d->have < head_size(d))
				continue;
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
