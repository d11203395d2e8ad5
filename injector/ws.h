#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* WebSocket frames of a client (RFC 6455), pure: bytes in, events out, bytes made. Messages are
 * never fragmented on the way out (the servers of Kubernetes would lose bytes); on the way in
 * they may be. */

enum pg_ws_opcode {
	PG_WS_CONTINUATION = 0,
	PG_WS_BINARY = 2,
	PG_WS_CLOSE = 8,
	PG_WS_PING = 9,
	PG_WS_PONG = 10,
};

enum {
	PG_WS_HEAD_MAX = 14,     /* the longest header that we write */
	PG_WS_CONTROL_MAX = 125, /* payload of a control frame, 5.5 */
	PG_WS_NORMAL = 1000,     /* close code: the job is done, 7.4.1 */
	PG_WS_NO_CODE = 1005,    /* the peer gave none */
};

/* Bytes of the header of an unfragmented, masked frame with `n` bytes of payload. */
static inline size_t pg_ws_head_size(size_t n)
{
	return (n < 126 ? 2 : n < 65536 ? 4 : 10) + 4;
}

/* Writes that header so that it ends right before `payload`, which has room for it in front;
 * masks the payload in place. Returns where the frame starts. */
uint8_t *pg_ws_seal(uint8_t *payload, size_t n, enum pg_ws_opcode opcode, const uint8_t mask[4]);

/* What the peer said. A callback returns 0, or a negative number that ends the decoding:
 * pg_ws_feed() returns it at once and is not to be called again. */
struct pg_ws_ops {
	/* A piece of a binary message, lent: `first` with the message's first piece, even if that
	 * is empty (n 0), and only then. */
	int (*data)(void *ctx, const uint8_t *p, size_t n, bool first);
	int (*ping)(void *ctx, const uint8_t *p, size_t n);
	int (*close)(void *ctx, uint16_t code);
};

struct pg_ws_decoder {
	const struct pg_ws_ops *ops;
	void *ctx;
	uint8_t head[10];
	size_t have;     /* bytes of `head` */
	uint64_t left;   /* payload bytes of the frame still to come */
	bool in_message; /* a fragment was seen and not yet the last one */
	bool is_first;   /* no piece of the message was handed on yet */
	uint8_t control[PG_WS_CONTROL_MAX];
	size_t control_have;
};

/* Takes any segmentation. 0, -EPROTO for what RFC 6455 forbids a server (masks, reserved bits, a
 * text message among them), or what a callback said. */
int pg_ws_feed(struct pg_ws_decoder *d, const uint8_t *p, size_t n);

enum { PG_WS_KEY_BYTES = 16, PG_WS_KEY_TEXT = 25, PG_WS_ACCEPT_TEXT = 29 };

/* Sec-WebSocket-Key of 16 random bytes, and the Sec-WebSocket-Accept that belongs to it (4.1,
 * 4.2.2): Base64 with its NUL. */
void pg_ws_key(const uint8_t random[PG_WS_KEY_BYTES], char out[PG_WS_KEY_TEXT]);
void pg_ws_accept(const char *key, char out[PG_WS_ACCEPT_TEXT]);
