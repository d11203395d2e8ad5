#pragma once
#include <stdarg.h>

#include "proto/base/auto.h"
#include "proto/base/byteq.h"
#include "proto/mux/limits.h"
#include "proto/mux/mux.h"
#include "proto/mux/pace.h"
#include "proto/mux/rtt.h"
#include "proto/mux/sched.h"
#include "proto/mux/stream.h"
#include "proto/mux/table.h"

/* The multiplexer's inside, shared by mux.c (calls of the owner), mux_in.c (feed) and mux_out.c
 * (pull); nobody else includes it.
 *
 * Where what waits to be sent: whole frames of the lane (OPEN, CONTROL, the RESET of a refused
 * OPEN) in `queue`, as bytes; pings in `pongs` and `ping`; frames of a stream as flags of it, on
 * `urgent`; DATA and EOF nowhere: they are made when there is room to send them. */
struct pg_mux {
	struct pg_mux_config config;
	uint64_t now_us; /* the latest time that we were told */
	uint64_t heard_us;
	uint64_t rough_until_us;      /* so long the path counts as one that makes bytes wait */
	uint64_t bytes_in, bytes_out; /* payload of DATA */
	bool is_awake;  /* the owner was told that there is something to pull, or will see by itself
			 */
	bool is_ending; /* pg_mux_free() is at work */
	int broken;     /* what pg_mux_feed() failed with */
	char fault[160];

	struct pg_table table;  /* streams by id, those that are gone excepted */
	struct pg_sched all;    /* the same */
	struct pg_sched urgent; /* streams that owe frames; those that are gone among them */
	struct pg_sched ready;  /* streams to be read from */
	struct pg_sched rich;   /* streams whose allowance may hold what others could use */
	size_t zombies;         /* streams that are gone but owe a RESET */
	uint32_t look;          /* number of the present one of pg_mux_lively(), */
	size_t lively;          /* ... and the streams seen to move in it */
	uint32_t next_id;       /* of our next stream; over INT32_MAX: none is left */
	uint32_t last_peer_id;  /* of the peer's latest OPEN, 0 before the first */
	uint64_t spare_at_us;   /* when allowances are looked through next */

	struct pg_byteq queue;
	uint8_t pongs[PG_PONG_QUEUE][8]; /* the oldest first */
	size_t pongs_n;
	struct pg_rtt rtt;
	struct pg_pace pace;
	bool is_ping_due, is_ping_out;
	uint64_t ping_at_us;   /* when the next one is due */
	uint64_t ping_sent_us; /* its payload, too */
	uint64_t ping_moved;   /* bytes_in + bytes_out when it was sent */

	/* The frame that is arriving. */
	uint8_t header[PG_FRAME_HDR];
	size_t header_n; /* bytes of it; all: `frame` is decoded */
	struct pg_frame frame;
	size_t payload_n;              /* bytes of its payload that have arrived */
	uint8_t payload[PG_FRAME_MAX]; /* of any frame but DATA */
};

#define PG_STREAM_OF(turn, member) \
	((struct pg_stream *)(void *)((char *)(turn)-offsetof(struct pg_stream, member)))

/* mux.c, for the other two */

/* Tells the owner that there is something to pull, unless it knows. */
void pg_mux_wake_(struct pg_mux *m);

/* Notes the time; a clock that goes back stands still instead. */
void pg_mux_clock_(struct pg_mux *m, uint64_t now_us);

/* What credit is measured by. */
struct pg_round pg_mux_round_(const struct pg_mux *m);

/* `n` bytes of the peer have arrived: notes when they were many and long in coming. */
void pg_mux_heard_(struct pg_mux *m, size_t n);

/* Marks frames as owed to the peer of `s`. */
void pg_mux_owe_(struct pg_stream *s, unsigned owed);

/* Lets `s` wait for its turn if it is readable and may send. */
void pg_mux_ready_(struct pg_stream *s);

/* Takes `s` out of everything but `urgent`; it is gone, and its handle is dead. The caller then
 * calls `gone` (if at all) and pg_mux_bury_(). */
void pg_mux_retire_(struct pg_stream *s, enum pg_stream_ev why);

/* `s` carries payload now. */
void pg_mux_moves_(struct pg_stream *s);

/* Frees `s`, which is gone, unless it owes a RESET: then pull does. */
void pg_mux_bury_(struct pg_stream *s);

/* The orderly end, if it has come: both halves ended, all consumed. `s` may be freed. */
void pg_mux_settle_(struct pg_stream *s);

/* Ends `s`, tells its owner, and owes the peer a RESET unless that sent one. */
void pg_mux_abort_(struct pg_stream *s, enum pg_reset reason, bool owe_reset);

/* Queues a whole frame of at most PG_FRAME_HDR + PG_FRAME_MAX bytes: 0, -ENOMEM, or -ENOBUFS when
 * more than `ceiling` bytes would wait. */
int pg_mux_enqueue_(struct pg_mux *m, const struct pg_frame *f, const uint8_t *payload,
		    size_t ceiling);
