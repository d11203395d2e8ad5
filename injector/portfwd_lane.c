#include <assert.h>
#include <errno.h>
#include <string.h>

#include "injector/portfwd_impl.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"

/* The lane's life on the loop. A turn reads at most PG_PORTFWD_IN bytes and sends at most one
 * batch; what is left waits for the next turn. The owner may close us inside any of its events, so
 * everything after one looks at is_closed; memory lives until the handles have closed. */

enum {
	LAST_WORDS_MS = 300, /* both streams end together, but for the way of their frames */
	A_LITTLE = 8 << 10,
};

static void on_handle_closed(uv_handle_t *handle)
{
	struct pg_portfwd *f = handle->data;
	pg_buf_fini(&f->early);
	free(f->in);
	free(f->out);
	free(f);
}

static void drop_conn(struct pg_portfwd *f)
{
	if (f->conn)
		pg_http_conn_close(f->conn);
	f->conn = NULL;
	uv_timer_stop(&f->last_words);
}

static void close_lane(struct pg_lane *lane)
{
	struct pg_portfwd *f = (struct pg_portfwd *)lane;
	assert(!f->is_closed);
	f->is_closed = true;
	if (f->conn && !f->is_over)
		pg_portfwd_send_goodbye(f);
	drop_conn(f);
	pg_loop_not_soon(f->loop, &f->turn);
	uv_close((uv_handle_t *)&f->last_words, on_handle_closed);
}

/* What came while dialling goes to the owner before anything else. */
static void hand_over_early(struct pg_portfwd *f)
{
	struct pg_buf early = f->early;
	if (f->is_dialling || early.len == 0)
		return;
	f->early = (struct pg_buf)PG_BUF_INIT(early.max);
	f->lane.events.received(f->lane.ctx, early.data, early.len);
	pg_buf_fini(&early);
}

/* The last event. */
static void tell_end(struct pg_portfwd *f)
{
	drop_conn(f);
	hand_over_early(f);
	if (f->is_dialling)
		f->wake = true;
	else if (!f->is_closed)
		f->lane.events.ended(f->lane.ctx, f->verdict.code < 0 ? &f->verdict : NULL);
}

int pg_portfwd_received(struct pg_portfwd *f, const uint8_t *p, size_t n)
{
	if (f->is_dialling)
		return pg_buf_add(&f->early, p, n);
	f->lane.events.received(f->lane.ctx, p, n);
	return f->is_closed ? -ECANCELED : 0;
}

/* Reads until nothing is left, or enough for a turn; decodes all of it at once. A little is mostly
 * all there is: then the poll tells of more. */
static void receive(struct pg_portfwd *f)
{
	size_t len = 0;
	ssize_t n = 1;
	while (len < PG_PORTFWD_IN) {
		n = pg_http_conn_recv(f->conn, f->in + len, PG_PORTFWD_IN - len);
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len < A_LITTLE && !pg_http_conn_holds_more(f->conn))
			break;
	}
	int rc = len > 0 ? pg_portfwd_feed(f, f->in, len) : 0;
	if (f->is_closed)
		return;
	if (rc < 0)
		pg_portfwd_conclude(f, rc);
	else if (n <= 0 && n != -EAGAIN)
		pg_portfwd_conclude(f, (int)n);
	if (f->is_dialling && pg_portfwd_is_up(f))
		f->wake = true;
}

static void on_ready(void *ctx, bool readable, bool writable);

static void want_write(struct pg_portfwd *f, bool wants)
{
	if (f->wants_write == wants)
		return;
	f->wants_write = wants;
	pg_http_conn_poll(f->conn, wants, on_ready, f);
}

/* Sends until there is nothing more (the owner kicks), the connection is full, or a batch is out
 * (the poll calls back in both cases). */
static void pump(struct pg_portfwd *f)
{
	int rc = pg_portfwd_send(f);
	int left = PG_LANE_SLOTS;
	f->is_kicked = false;
	while (rc == 0 && left > 0) {
		int used = pg_portfwd_make_batch(f, left);
		if (f->is_closed)
			return;
		left -= used;
		bool is_idle = f->run_at == PG_PORTFWD_RUNS;
		rc = pg_portfwd_send(f);
		if (is_idle || (used == 0 && rc == 0)) {
			want_write(f, false);
			return;
		}
	}
	if (rc == 0 || rc == -EAGAIN) {
		want_write(f, true);
		return;
	}
	receive(f); /* the peer may have said why */
	if (!f->is_closed && !f->is_over)
		pg_portfwd_conclude(f, rc);
}

/* What we owe after reading leaves at the end of the loop's turn, together with what other sockets
 * bring in it. */
static void on_ready(void *ctx, bool readable, bool writable)
{
	struct pg_portfwd *f = ctx;
	if (f->is_dialling && f->wake)
		return; /* the dialler has what it needs; the rest is for the owner */
	f->in_turn = true;
	hand_over_early(f);
	if (readable && !f->is_closed)
		receive(f);
	f->is_kicked = f->is_kicked || f->urgent_len > 0;
	if (writable && !f->is_closed && !f->is_over)
		pump(f);
	f->in_turn = false;
	if (f->is_closed)
		return;
	if (f->is_over)
		tell_end(f);
	else if (f->is_kicked && !f->wants_write)
		pg_loop_soon(f->loop, &f->turn);
}

/* The turn after a kick, or after dialling. */
static void on_turn(void *ctx)
{
	struct pg_portfwd *f = ctx;
	if (f->is_over)
		tell_end(f);
	else
		on_ready(f, false, true);
}

static void kick(struct pg_lane *lane)
{
	struct pg_portfwd *f = (struct pg_portfwd *)lane;
	f->is_kicked = true;
	if (!f->in_turn && !f->wants_write && !f->is_closed && !f->is_over)
		pg_loop_soon(f->loop, &f->turn);
}

static void on_last_words(uv_timer_t *timer)
{
	struct pg_portfwd *f = timer->data;
	if (f->is_over)
		return;
	pg_portfwd_conclude(f, -ENODATA);
	tell_end(f);
}

void pg_portfwd_await_last_words(struct pg_portfwd *f)
{
	uv_timer_start(&f->last_words, on_last_words, LAST_WORDS_MS, 0);
}

static const struct pg_lane_ops lane_ops = { .kick = kick, .close = close_lane };

struct pg_portfwd *pg_portfwd_new(struct pg_loop *loop, struct pg_http_conn *conn,
				  enum pg_transport transport, uint16_t port)
{
	static const size_t out_bytes = PG_PORTFWD_URGENT +
					PG_LANE_SLOTS * (PG_PORTFWD_HEADROOM + PG_FRAME_SLOT) +
					PG_PORTFWD_HEADROOM;
	struct pg_portfwd *f = pg_calloc(1, sizeof(*f));
	uint8_t *in = pg_calloc(PG_PORTFWD_IN, 1), *out = pg_calloc(out_bytes, 1);
	if (!f || !in || !out) {
		pg_http_conn_close(conn);
		free(f);
		free(in);
		free(out);
		return NULL;
	}
	*f = (struct pg_portfwd){ .lane = { .ops = &lane_ops },
				  .loop = loop,
				  .conn = conn,
				  .transport = transport,
				  .port = port,
				  .out = out,
				  .run_at = PG_PORTFWD_RUNS,
				  .in = in,
				  .early = PG_BUF_INIT(PG_PORTFWD_IN),
				  .turn = { .run = on_turn, .ctx = f },
				  .is_dialling = true };
	pg_portfwd_in_init(f);
	uv_timer_init(pg_loop_uv(loop), &f->last_words);
	f->last_words.data = f;
	return f;
}

int pg_portfwd_start(struct pg_portfwd *f, const struct pg_buf *rest)
{
	if (f->transport != PG_TRANSPORT_WEBSOCKET) {
		struct pg_buf pair = PG_BUF_INIT(PG_PORTFWD_URGENT - PG_WS_HEAD_MAX);
		int rc = pg_spdy_put_pair(&pair, f->port);
		if (rc == 0)
			pg_portfwd_put_urgent(f, pair.data, pair.len, PG_WS_BINARY);
		pg_buf_fini(&pair);
		if (rc < 0)
			return rc;
	}
	int rc = rest->len > 0 ? pg_portfwd_feed(f, rest->data, rest->len) : 0;
	if (rc < 0) {
		pg_portfwd_conclude(f, rc);
		tell_end(f);
		return 0;
	}
	pg_http_conn_poll(f->conn, false, on_ready, f);
	on_ready(f, false, true);
	f->wake = f->wake || pg_portfwd_is_up(f);
	return 0;
}

void pg_portfwd_own(struct pg_portfwd *f, struct pg_lane_events events, void *ctx)
{
	f->is_dialling = false;
	pg_lane_own(&f->lane, events, ctx);
	pg_loop_soon(f->loop, &f->turn);
}
