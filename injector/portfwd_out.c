#include <assert.h>
#include <errno.h>
#include <string.h>

#include "injector/portfwd_impl.h"
#include "proto/base/num.h"
#include "proto/wire/auth.h"

/* A batch is made in place: the owner fills slots, headers go right in front of what it wrote.
 * Slots stand so that full ones follow each other without a gap; short ones are moved up to their
 * successor, if that is cheap. So a batch mostly leaves in one piece, in full TLS records. */

enum { MOVE_MAX = 4096 }; /* moving more costs more than another record */

static size_t headroom(const struct pg_portfwd *f)
{
	switch (f->transport) {
	case PG_TRANSPORT_TUNNEL:
		return PG_SPDY_HDR + 8;
	case PG_TRANSPORT_WEBSOCKET:
		return 1 + 8;
	default:
		return PG_SPDY_HDR;
	}
}

static const uint8_t *next_mask(struct pg_portfwd *f)
{
	if (f->masks_used == sizeof(f->masks))
		f->masks_used = 0;
	if (f->masks_used == 0)
		pg_random(f->masks, sizeof(f->masks));
	f->masks_used += 4;
	return f->masks + f->masks_used - 4;
}

/* Puts the transport's headers before `n` bytes of payload; returns where the frame starts. */
static uint8_t *wrap(struct pg_portfwd *f, uint8_t *payload, size_t n)
{
	if (f->transport == PG_TRANSPORT_WEBSOCKET) {
		payload[-1] = 0; /* the data channel of the first port */
		return pg_ws_seal(payload - 1, n + 1, PG_WS_BINARY, next_mask(f));
	}
	uint8_t *frame = payload - PG_SPDY_HDR;
	pg_spdy_put_data(frame, PG_SPDY_DATA_STREAM, false, n);
	if (f->transport == PG_TRANSPORT_SPDY)
		return frame;
	return pg_ws_seal(frame, n + PG_SPDY_HDR, PG_WS_BINARY, next_mask(f));
}

void pg_portfwd_put_urgent(struct pg_portfwd *f, const uint8_t *p, size_t n,
			   enum pg_ws_opcode opcode)
{
	uint8_t *at = f->urgent + f->urgent_len;
	size_t head = f->transport == PG_TRANSPORT_SPDY ? 0 : pg_ws_head_size(n);
	if (n + head > sizeof(f->urgent) - f->urgent_len)
		return;
	if (n > 0)
		memcpy(at + head, p, n);
	if (head > 0)
		pg_ws_seal(at + head, n, opcode, next_mask(f));
	f->urgent_len += head + n;
}

static void add_run(struct pg_portfwd *f, uint8_t *p, size_t n)
{
	f->run_at--;
	f->runs[f->run_at] = (struct pg_portfwd_run){ p, n };
}

/* Frames the slots from the last one to the first, each to end where its successor starts. */
static void frame_slots(struct pg_portfwd *f, const struct iovec *slots, int count)
{
	for (int i = count - 1; i >= 0; i--) {
		uint8_t *payload = slots[i].iov_base;
		size_t n = slots[i].iov_len;
		struct pg_portfwd_run *next =
			f->run_at < PG_PORTFWD_RUNS ? &f->runs[f->run_at] : NULL;
		if (n == 0)
			continue;
		if (next && n <= MOVE_MAX && payload + n != next->p)
			payload = memmove(next->p - n, payload, n);
		uint8_t *frame = wrap(f, payload, n);
		size_t size = (size_t)(payload - frame) + n;
		if (next && payload + n == next->p)
			*next = (struct pg_portfwd_run){ frame, size + next->n };
		else
			add_run(f, frame, size);
	}
}

int pg_portfwd_make_batch(struct pg_portfwd *f, int slots)
{
	assert(f->run_at == PG_PORTFWD_RUNS);
	struct iovec iov[PG_LANE_SLOTS];
	size_t stride = headroom(f) + PG_FRAME_SLOT;
	uint8_t *first = f->out + PG_PORTFWD_URGENT + PG_PORTFWD_HEADROOM;
	for (int i = 0; i < slots; i++)
		iov[i] = (struct iovec){ first + (size_t)i * stride, PG_FRAME_SLOT };
	int used = f->is_dialling ? 0 : f->lane.events.pull(f->lane.ctx, iov, slots);
	assert(used >= 0 && used <= slots);
	if (f->is_closed)
		return 0;
	frame_slots(f, iov, used);
	if (f->urgent_len > 0) {
		memcpy(f->out, f->urgent, f->urgent_len);
		add_run(f, f->out, f->urgent_len);
		f->urgent_len = 0;
	}
	return used;
}

int pg_portfwd_send(struct pg_portfwd *f)
{
	while (f->run_at < PG_PORTFWD_RUNS) {
		struct pg_portfwd_run *run = &f->runs[f->run_at];
		ssize_t n = pg_http_conn_send(f->conn, run->p, run->n);
		if (n < 0)
			return (int)n;
		run->p += n;
		run->n -= (size_t)n;
		if (run->n == 0)
			f->run_at++;
	}
	return 0;
}

void pg_portfwd_send_goodbye(struct pg_portfwd *f)
{
	static const uint8_t normal[] = { PG_WS_NORMAL >> 8, PG_WS_NORMAL & 0xff };
	uint8_t spdy[PG_SPDY_HDR + PG_SPDY_CONTROL_MAX];
	if (f->run_at < PG_PORTFWD_RUNS)
		return; /* half a frame is out: nothing can follow it */
	f->urgent_len = 0;
	pg_spdy_put_data(spdy, PG_SPDY_DATA_STREAM, true, 0);
	size_t n = PG_SPDY_HDR + pg_spdy_put_goaway(spdy + PG_SPDY_HDR, 0);
	if (f->transport != PG_TRANSPORT_WEBSOCKET)
		pg_portfwd_put_urgent(f, spdy, n, PG_WS_BINARY);
	if (f->transport != PG_TRANSPORT_SPDY)
		pg_portfwd_put_urgent(f, normal, sizeof(normal), PG_WS_CLOSE);
	add_run(f, f->urgent, f->urgent_len);
	pg_portfwd_send(f);
}
