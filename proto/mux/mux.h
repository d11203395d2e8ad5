#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "proto/mux/pool.h"
#include "proto/wire/frame.h"

/* The multiplexer of one lane: many streams with credit, half-close and reset over one ordered
 * stream of bytes (docs/protocol.md). It does no I/O and knows no clock: bytes in (feed), bytes out
 * (pull), events to `ops`; the time is an argument, microseconds of any monotonic clock.
 *
 * Rules for callbacks: they may call anything below but pg_mux_feed(), pg_mux_pull(),
 * pg_mux_tick() and pg_mux_free(). A stream handle is valid from pg_mux_open() or `opened` until
 * `gone` returns, and not a moment longer. */
struct pg_mux;
struct pg_stream;

struct pg_mux_ops {
	/* The peer opened a stream; `info` is the OPEN's payload, borrowed. 0: *user_out is the
	 * stream's owner from now on, and data may follow at once. PG_RESET_*: refused with it. */
	enum pg_reset (*opened)(void *ctx, struct pg_stream *s, const uint8_t *info, size_t n,
				void **user_out);
	/* The far socket is connected. */
	void (*accepted)(void *user);
	/* Bytes for our socket, borrowed: the owner takes all of them, and calls
	 * pg_stream_consumed() as the socket does. Never more than was granted. */
	void (*data)(void *user, const uint8_t *p, size_t n);
	/* The far half is at its end: after what is queued, shutdown(SHUT_WR). */
	void (*eof)(void *user);
	/* The stream is over and its handle dies now. `reason` 0: orderly, both halves ended and
	 * every byte consumed; PG_RESET_*: the peer reset it; queued bytes are to be dropped. */
	void (*gone)(void *user, enum pg_reset reason);
	/* Reads from the stream's socket straight into the frames to be sent: the bytes read, 0 at
	 * end of file, -EAGAIN (nothing now: call pg_stream_readable() later), or another negative
	 * errno, which resets the stream with PG_RESET_PEER (`gone` follows with that reason).
	 * After as many bytes as were asked for it is called again when its turn comes; after fewer
	 * the socket was empty, and pg_stream_readable() says when it no longer is. */
	ssize_t (*read)(void *user, const struct iovec *iov, int count);
	/* One control message, borrowed. -EPROTO or another negative errno ends the lane. */
	int (*control)(void *ctx, const uint8_t *msg, size_t n);
	/* There is something to pull where there was nothing. */
	void (*wake)(void *ctx);
};

struct pg_mux_config {
	bool odd;             /* our own streams have odd ids: the laptop. The agent's are even. */
	struct pg_pool *pool; /* what the receive credit of all streams may grow by: borrowed, and
			       * shared by the lanes of a session */
	size_t max_streams;   /* of both sides together; more are refused with PG_RESET_LIMIT */
	const struct pg_mux_ops *ops;
	void *ctx;
};

/* NULL: out of memory. */
struct pg_mux *pg_mux_new(const struct pg_mux_config *config, uint64_t now_us);

/* Ends every stream (`gone` with PG_RESET_GOING), then the multiplexer. NULL is allowed. */
void pg_mux_free(struct pg_mux *m);

/* Bytes of the peer. 0, or a negative errno that is the end of the lane: -EPROTO, -EMSGSIZE,
 * -ENOMEM; pg_mux_fault() says in words what was wrong. */
int pg_mux_feed(struct pg_mux *m, const uint8_t *p, size_t n, uint64_t now_us);
const char *pg_mux_fault(const struct pg_mux *m);

/* Fills slots with bytes to be sent, in order; sets each used slot's iov_len to what is in it and
 * returns how many are used (fewer than `count`: nothing more to send now; `wake` will tell). A
 * slot's iov_len is its room when it comes in, PG_FRAME_SLOT bytes at least. Control frames and
 * credit come first, then ready streams take turns, one slot's worth each; a stream that is alone
 * gets all slots in one read. */
int pg_mux_pull(struct pg_mux *m, struct iovec *slots, int count, uint64_t now_us);

/* Keeps heartbeat and credit going; to be called when the time that it returns (microseconds on
 * the same clock) has come, and may be called at any other. The first call sends the first PING, so
 * it should come at once. */
uint64_t pg_mux_tick(struct pg_mux *m, uint64_t now_us);

/* Microseconds since the last byte of the peer: PG_SILENCE_MS is the end. */
uint64_t pg_mux_silence_us(const struct pg_mux *m, uint64_t now_us);

/* Last and least round trip seen, microseconds; 0 while unknown. */
uint64_t pg_mux_rtt_us(const struct pg_mux *m);
uint64_t pg_mux_rtt_min_us(const struct pg_mux *m);

/* Queues one control message, 1 to PG_FRAME_MAX bytes, copied: 0, -ENOMEM, or -ENOBUFS when more
 * than PG_CONTROL_QUEUE would wait. */
int pg_mux_control(struct pg_mux *m, const uint8_t *msg, size_t n);

/* Streams that live now; those that carried payload since this was last asked; payload bytes
 * received and sent so far. */
size_t pg_mux_streams(const struct pg_mux *m);
size_t pg_mux_lively(struct pg_mux *m);
uint64_t pg_mux_bytes_in(const struct pg_mux *m);
uint64_t pg_mux_bytes_out(const struct pg_mux *m);

/* Opens a stream; `info` (1 to PG_FRAME_MAX bytes) is copied. 0, -ENOMEM, or -EMFILE at the
 * limit (of streams, or of OPENs that wait to be sent); ids run out after 2^30 streams: -EOVERFLOW,
 * and a new lane is needed. */
int pg_mux_open(struct pg_mux *m, const uint8_t *info, size_t n, void *user,
		struct pg_stream **out);

/* The side that was asked to connect says that it is. Once, before or after data went out. */
void pg_stream_accept(struct pg_stream *s);

/* Its socket may have bytes, or end of file: it will be read as credit and turns allow. */
void pg_stream_readable(struct pg_stream *s);

/* Our socket has taken (or we have thrown away) `n` bytes of those that `data` delivered: their
 * credit goes back. Asserts n <= what is outstanding. May make an ended stream `gone`. */
void pg_stream_consumed(struct pg_stream *s, size_t n);

/* Ends the stream at once; RESET goes to the peer, the handle is dead on return and `gone` is not
 * called. What `data` delivered counts as consumed. */
void pg_stream_reset(struct pg_stream *s, enum pg_reset reason);

uint32_t pg_stream_id(const struct pg_stream *s);
bool pg_stream_is_accepted(const struct pg_stream *s);
