#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proto/base/byteq.h"
#include "proto/io/loop.h"
#include "proto/mux/mux.h"

/* Joins one TCP socket to one stream of a link, both directions, with backpressure: a FIN arrives
 * as a FIN, a reset as a reset, and neither side is read faster than the other one takes.
 *
 * The socket is a uv_poll_t with our own recv and send. It is watched for reading only while the
 * stream can take bytes, for writing only while something is queued. */
struct pg_relay;

struct pg_relay_events {
	/* Before ACCEPTED the far side could not serve (refused, timed out, no such redirect, link
	 * lost). The socket `fd` is whole and the callee's; `kept` is all that was read from it
	 * (the callee's too), `at_eof` whether its end was. Called instead of `ended`; NULL: the
	 * socket is reset and `ended` is called. */
	void (*refused)(void *ctx, int fd, struct pg_byteq *kept, bool at_eof, enum pg_reset why);
	/* The far side is connected. May be NULL. */
	void (*accepted)(void *ctx);
	/* The relay is over; it frees itself after this call. `why` 0: both halves ended. */
	void (*ended)(void *ctx, enum pg_reset why);
};

/* A relay for `fd` (prepared by pg_sock_prepare(); taken on success only). `connecting`: connect(2)
 * is under way; pg_stream_accept() is called when it has succeeded, and the stream is refused
 * when not. `events` must outlive the relay. 0, -ENOMEM or another negative errno. */
int pg_relay_new(struct pg_loop *loop, int fd, bool connecting,
		 const struct pg_relay_events *events, void *ctx, struct pg_relay **out);

/* Tells the relay its stream; nothing moves before. The stream's user must be this relay. */
void pg_relay_attach(struct pg_relay *r, struct pg_stream *s);

/* What was read from the socket before the relay had it: the stream gets it before what is still to
 * be read. Takes `first`, of PG_UNACCEPTED_MAX bytes at most, which is empty then; before
 * pg_relay_attach(). 0, or -ENOMEM with `first` as it was. */
int pg_relay_put_back(struct pg_relay *r, struct pg_byteq *first);

/* Sends `n` bytes of our own to the socket, before all that the stream brings: only for a relay
 * that is connecting and has no stream yet. 0 or -ENOMEM. */
int pg_relay_begin_with(struct pg_relay *r, const uint8_t *p, size_t n);

/* Ends it at once: the socket is reset, and so is the stream if there is one. `ended` is not
 * called. */
void pg_relay_free(struct pg_relay *r);

/* Ends the wait for ACCEPTED: the stream is reset with `why`, and `refused` is called as if the far
 * side had done it. Only before ACCEPTED, and with `refused` set. */
void pg_relay_give_back(struct pg_relay *r, enum pg_reset why);

/* Ends a relay that has no stream yet, and gives its socket back untouched. */
int pg_relay_release(struct pg_relay *r);

/* Bytes from the socket to the stream, and back, so far; without what we began with. */
uint64_t pg_relay_bytes_up(const struct pg_relay *r);
uint64_t pg_relay_bytes_down(const struct pg_relay *r);

/* The stream's side: struct pg_mux_ops of every link. */
void pg_relay_on_accepted(void *user);
void pg_relay_on_data(void *user, const uint8_t *p, size_t n);
void pg_relay_on_eof(void *user);
void pg_relay_on_gone(void *user, enum pg_reset reason);
ssize_t pg_relay_on_read(void *user, const struct iovec *iov, int count);
