#pragma once
#include <uv.h>

#include "injector/portfwd.h"
#include "injector/spdy.h"
#include "injector/ws.h"
#include "proto/wire/frame.h"

/* What the files of portfwd.h share; nobody else includes this.
 *
 * portfwd.c dials, portfwd_refusal.c explains a refusal, portfwd_lane.c is the lane's life on the
 * loop, portfwd_out.c makes batches of frames, portfwd_in.c reads frames and finds the verdict. */

enum {
	PG_PORTFWD_IN = 256 << 10, /* most bytes received in a turn */
	/* Room before each slot: a SPDY header (8), and a WebSocket header (8, as no slot has
	 * more than 65535 bytes) before that, or before a channel byte. */
	PG_PORTFWD_HEADROOM = 16,
	PG_PORTFWD_URGENT = 512,    /* the opening frames, or answers to pings */
	PG_PORTFWD_TEXT_MAX = 2048, /* what the node says on its error stream */
	PG_PORTFWD_RUNS = PG_LANE_SLOTS + 1,
};

/* Bytes that lie together and are not sent yet. */
struct pg_portfwd_run {
	uint8_t *p;
	size_t n;
};

struct pg_portfwd {
	struct pg_lane lane; /* first */
	struct pg_loop *loop;
	struct pg_http_conn *conn; /* owned; NULL once the lane is over */
	enum pg_transport transport;
	uint16_t port;

	/* Out: one batch at a time, in `out`; `urgent` goes with the next one. */
	uint8_t *out; /* owned: urgent area, then slots with their headroom */
	struct pg_portfwd_run runs[PG_PORTFWD_RUNS];
	size_t run_at; /* first run not sent; PG_PORTFWD_RUNS: none */
	uint8_t urgent[PG_PORTFWD_URGENT];
	size_t urgent_len;
	uint8_t masks[256]; /* random bytes for WebSocket, four a frame */
	size_t masks_used;

	/* In. */
	uint8_t *in; /* owned, PG_PORTFWD_IN bytes, used within a turn only */
	struct pg_spdy_decoder spdy;
	struct pg_ws_decoder ws;
	uint8_t channel;                /* of the WebSocket message being read */
	uint8_t preamble[2];            /* bytes seen of each channel's port number */
	bool is_accepted[2];            /* streams (error, data) that the peer has taken up */
	bool has_ended[2];              /* ... and those that it has ended */
	char text[PG_PORTFWD_TEXT_MAX]; /* of the error stream */
	size_t text_len;

	/* Life. */
	struct pg_buf early;   /* payload that came while dialling, for the first turn */
	struct pg_err verdict; /* once `is_over`; code 0: orderly */
	bool is_dialling;      /* no owner yet */
	bool is_over;          /* the verdict is known; the owner may not have been told */
	bool is_closed;        /* the owner is done with us */
	bool in_turn, is_kicked, wants_write;
	bool wake;             /* pg_portfwd_dial() waits for it */
	struct pg_task turn;   /* a kick from outside, early payload */
	uv_timer_t last_words; /* the peer has ended a stream: how long to wait for the other */
};

enum { PG_PORTFWD_ERROR, PG_PORTFWD_DATA }; /* indices of is_accepted and has_ended */

/* portfwd_lane.c. Takes `conn` in any case; NULL: out of memory. */
struct pg_portfwd *pg_portfwd_new(struct pg_loop *loop, struct pg_http_conn *conn,
				  enum pg_transport transport, uint16_t port);
/* Sends what opens the streams, and reads what came with the upgrade's answer. */
int pg_portfwd_start(struct pg_portfwd *f, const struct pg_buf *rest);
/* Gives the lane to its owner. */
void pg_portfwd_own(struct pg_portfwd *f, struct pg_lane_events events, void *ctx);
/* Hands payload on, or keeps it while dialling. 0, or a negative errno that ends the decoding. */
int pg_portfwd_received(struct pg_portfwd *f, const uint8_t *p, size_t n);
/* The end of a stream was seen: the verdict follows soon. */
void pg_portfwd_await_last_words(struct pg_portfwd *f);

/* portfwd_out.c. Adds a control frame to what goes first: SPDY bytes, or a WebSocket frame of
 * `opcode`. Silently not when it does not fit: only answers to a flood of pings get there. */
void pg_portfwd_put_urgent(struct pg_portfwd *f, const uint8_t *p, size_t n,
			   enum pg_ws_opcode opcode);
/* Makes a batch of urgent bytes and up to `slots` slots of the owner's. Returns the slots used. */
int pg_portfwd_make_batch(struct pg_portfwd *f, int slots);
/* Sends what is left of the batch: 0 all sent, -EAGAIN, or another negative errno. */
int pg_portfwd_send(struct pg_portfwd *f);
/* Says goodbye if that is possible without waiting. */
void pg_portfwd_send_goodbye(struct pg_portfwd *f);

/* portfwd_in.c */
void pg_portfwd_in_init(struct pg_portfwd *f);
/* Decodes; 0, or a negative errno: -EPROTO, or -ENODATA when the peer has ended the lane. */
int pg_portfwd_feed(struct pg_portfwd *f, const uint8_t *p, size_t n);
/* True when both streams are up. */
bool pg_portfwd_is_up(const struct pg_portfwd *f);
/* The lane is over, by `rc`: 0 when the connection was closed by the peer, -ENODATA when its
 * protocol was, or what failed. Sets verdict and is_over. */
void pg_portfwd_conclude(struct pg_portfwd *f, int rc);

/* portfwd_refusal.c. Explains an answer other than 101. Returns err->code. */
int pg_portfwd_refused(const struct pg_http_upgraded *answer, const char *ns, const char *pod,
		       struct pg_portfwd_refusal *why, struct pg_err *err);
