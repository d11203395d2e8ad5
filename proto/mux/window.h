#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/mux/pool.h"
#include "proto/mux/rate.h"

/* Credit: what the streams of a lane may have under way. Pure: no frame, no clock, no memory.
 *
 * The receiver of a stream has a window, the sender an allowance. Every byte of the window is in
 * one of three places: granted (the peer may send it at any time), held (it arrived and was not
 * consumed), or due (to be granted). A window has PG_CREDIT_OWN bytes of its own and borrows the
 * rest from the pool of its lane; what it borrowed goes back only when it is neither granted nor
 * held, so that what all peers together can make us hold is bounded at every moment. */
struct pg_window {
	size_t size;    /* PG_CREDIT_OWN, and what is borrowed */
	size_t granted; /* may still arrive */
	size_t held;    /* arrived, not consumed; granted + held <= size */
	bool is_ended;  /* nothing more will arrive */
	size_t least;   /* wanted size of the present round, by what is known of the lane */
	struct pg_rate rate;
};

void pg_window_init(struct pg_window *w, uint64_t now_us);

/* Gives back what was borrowed: the stream is over. */
void pg_window_fini(struct pg_window *w, struct pg_pool *pool);

/* `n` bytes arrived: 0, or -EPROTO when they were not granted. */
int pg_window_arrived(struct pg_window *w, size_t n);

/* The path that a window is sized for. */
struct pg_round {
	uint64_t us;    /* the least round trip, PG_RTT_FLOOR_US at least */
	unsigned trips; /* so many times what is consumed in one is to be under way */
	uint64_t known; /* so much, on all streams together, by what the lane has carried of late */
};

/* `n` <= held bytes were consumed. The window grows or shrinks towards what `round` says, as the
 * pool allows: by its own rate, and where that lets it grow also by half of what is known of the
 * lane and not lent to others. */
void pg_window_consumed(struct pg_window *w, struct pg_pool *pool, size_t n, struct pg_round round,
			uint64_t now_us);

/* Whether so much is due that it is worth a frame: a quarter of the window. */
bool pg_window_is_due(const struct pg_window *w);

/* Grants all that is due: the bytes, 0 to PG_CREDIT_MAX. */
size_t pg_window_grant(struct pg_window *w);

/* The peer gives `n` bytes of its grant back: 0, or -EPROTO when it has not so many. */
int pg_window_returned(struct pg_window *w, struct pg_pool *pool, size_t n);

/* The peer has ended its half: what it was granted is free again. */
void pg_window_ended(struct pg_window *w, struct pg_pool *pool);

/* What the sender of a stream may still send. */
struct pg_allowance {
	size_t left;   /* bytes granted and not spent */
	size_t lowest; /* least `left` since pg_allowance_spare() */
	size_t early;  /* what may be sent before ACCEPTED; no limit once accepted */
};

/* `is_early`: this side opened the stream and waits for ACCEPTED. */
void pg_allowance_init(struct pg_allowance *a, bool is_early);
void pg_allowance_accepted(struct pg_allowance *a);

/* Bytes that may be sent now. */
size_t pg_allowance_usable(const struct pg_allowance *a);

/* `n` <= usable bytes were sent. */
void pg_allowance_spend(struct pg_allowance *a, size_t n);

/* The peer grants `n` more: 0, or -EPROTO when the sum passes PG_CREDIT_MAX. */
int pg_allowance_granted(struct pg_allowance *a, size_t n);

/* Takes out, and returns, what beyond PG_CREDIT_OWN was not needed at any moment since the last
 * call: it is to be given back to the peer, whose other streams can use it. 0: not worth a frame.
 */
size_t pg_allowance_spare(struct pg_allowance *a);
