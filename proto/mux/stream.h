#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/mux/sched.h"
#include "proto/mux/window.h"
#include "proto/wire/frame.h"

/* One stream, as the files of this folder see it. Outside of it the handle is opaque (mux.h). */
enum pg_stream_state {
	PG_ST_ILLEGAL,
	PG_ST_OPEN,     /* both halves run */
	PG_ST_SENT_EOF, /* ours has ended: nothing more is read from our socket */
	PG_ST_GOT_EOF,  /* the peer's has ended: no DATA may arrive */
	PG_ST_ENDED,    /* both have; bytes of the peer may still wait to be consumed */
	PG_ST_GONE,     /* over; at most a RESET is owed to the peer. No event and no frame */
	PG_ST_COUNT
};

enum pg_stream_ev { PG_EV_SENT_EOF, PG_EV_GOT_EOF, PG_EV_DRAINED, PG_EV_RESET, PG_EV_COUNT };

/* What may follow what. Acceptance is no state here: data and EOF may come before it. Pure.
 * 0, or -EPROTO with *st as it was. */
int pg_stream_step(enum pg_stream_state *st, enum pg_stream_ev ev);

/* Frames that a stream owes its peer, apart from DATA and EOF. */
enum pg_owed {
	PG_OWES_RESET = 1 << 0,
	PG_OWES_ACCEPTED = 1 << 1,
	PG_OWES_CREDIT = 1 << 2,
	PG_OWES_RETURN = 1 << 3,
};

struct pg_mux;

struct pg_stream {
	struct pg_mux *mux;
	void *user;
	uint32_t id;
	enum pg_stream_state state;
	enum pg_reset reset; /* of the RESET that is owed */
	unsigned owed;       /* enum pg_owed, or-ed */
	bool is_ours;        /* we opened it */
	bool is_accepted;    /* ACCEPTED was seen (ours) or is on its way (the peer's) */
	bool is_readable;    /* its socket may have something for `read` */
	uint32_t look;       /* of the lane, in which it moved last */
	size_t arrived;      /* of the peer's before we accepted; PG_UNACCEPTED_MAX at most */
	size_t given_back;   /* of our allowance, to be told by RETURN */
	struct pg_window in;
	struct pg_allowance out;
	struct pg_turn in_all;    /* while it lives */
	struct pg_turn in_urgent; /* while it owes frames */
	struct pg_turn in_ready;  /* while it is readable and may send */
	struct pg_turn in_rich;   /* while it may send more than PG_CREDIT_OWN */
};

/* A stream in state OPEN with its first credit. NULL: out of memory. */
struct pg_stream *pg_stream_new(struct pg_mux *m, uint32_t id, bool is_ours, uint64_t now_us);

/* True while DATA and EOF of our own half may be sent. */
bool pg_stream_sends(const struct pg_stream *s);

/* True while DATA and EOF of the peer may arrive. */
bool pg_stream_receives(const struct pg_stream *s);
