#pragma once
#include <stddef.h>
#include <stdint.h>

/* The 8-byte frame header of a lane (docs/protocol.md, "Frames"):
 * u8 type, u8 flags (0), u16 payload length, u32 stream id; big-endian. */
enum {
	PG_FRAME_HDR = 8,
	PG_FRAME_MAX = 32768,         /* most bytes of payload: the runtime's copy size */
	PG_FRAME_SLOT = PG_FRAME_MAX, /* header and payload of a full data frame together */
};

enum pg_frame_type {
	PG_F_ILLEGAL, /* never sent: a stream of zeros is no stream of frames */
	PG_F_OPEN,   /* payload: struct pg_open, packed (msg.h); the id is the opener's to choose */
	PG_F_DATA,   /* payload: 1 to PG_FRAME_MAX bytes of the stream */
	PG_F_CREDIT, /* payload: u32, bytes more that may be sent, 1 to PG_CREDIT_MAX */
	PG_F_EOF,    /* no payload: the sender's half is at its end */
	PG_F_RESET,  /* payload: u8, enum pg_reset */
	PG_F_ACCEPTED, /* no payload: the far socket is connected */
	PG_F_PING,     /* stream 0; payload: 8 bytes, returned as they are */
	PG_F_PONG,     /* stream 0; payload: those 8 bytes */
	PG_F_CONTROL,  /* stream 0; payload: one control message (msg.h) */
	PG_F_RETURN,   /* payload: u32, bytes of credit given back unused, 1 to PG_CREDIT_MAX */
	PG_F_COUNT
};

/* Why a stream was reset. */
enum pg_reset {
	PG_RESET_ILLEGAL,
	PG_RESET_PEER,    /* the socket at the other end was reset: pass an RST on */
	PG_RESET_REFUSED, /* the far side could not connect */
	PG_RESET_TIMEOUT, /* ... not in time */
	PG_RESET_GOING,   /* the session ends */
	PG_RESET_LIMIT,   /* no more streams or memory */
	PG_RESET_UNKNOWN, /* no such redirect */
	PG_RESET_COUNT
};

struct pg_frame {
	enum pg_frame_type type;
	uint16_t len;    /* bytes of payload after the header */
	uint32_t stream; /* 0 to 2^31 - 1 */
};

/* Decodes the header at `p`, of which `n` bytes are there. PG_FRAME_HDR on success; 0 when the
 * header is not complete; -EPROTO for a type, flags, a stream or a length that is never legal for
 * it; -EMSGSIZE for a length over the cap. *out is untouched unless it succeeds. */
int pg_frame_decode(const uint8_t *p, size_t n, struct pg_frame *out);

/* Writes the PG_FRAME_HDR bytes of `f`, which must be legal (asserted). */
void pg_frame_encode(const struct pg_frame *f, uint8_t *p);

/* "refused" and so on, for messages. */
const char *pg_reset_name(enum pg_reset reason);
