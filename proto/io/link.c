#include "proto/io/link.h"

#include <errno.h>
#include <string.h>
#include <uv.h>

#include "proto/base/mem.h"
#include "proto/base/num.h"
#include "proto/io/relay.h"
#include "proto/mux/limits.h"

struct pg_link {
	struct pg_loop *loop;
	struct pg_lane *lane;
	struct pg_mux *mux;
	struct pg_link_config config;
	uv_timer_t tick;
	bool ended; /* `ended` was called, or will not be any more */
};

static void fail(struct pg_link *l, const struct pg_err *why)
{
	if (l->ended)
		return;
	l->ended = true;
	uv_timer_stop(&l->tick);
	l->config.events.ended(l->config.ctx, why);
}

static enum pg_reset on_opened(void *ctx, struct pg_stream *s, const uint8_t *info, size_t n,
			       void **user_out)
{
	struct pg_link *l = ctx;
	Podgraft__V1__Open *open;
	struct pg_relay *relay = NULL;
	if (!l->config.events.opened || pg_open_unpack(info, n, &open, NULL) < 0)
		return PG_RESET_UNKNOWN;
	enum pg_reset rc = l->config.events.opened(l->config.ctx, s, open, &relay);
	pg_open_free(open);
	*user_out = relay;
	return rc;
}

static int on_control(void *ctx, const uint8_t *bytes, size_t n)
{
	struct pg_link *l = ctx;
	Podgraft__V1__Control *msg;
	int rc = pg_msg_unpack(bytes, n, &msg, NULL);
	if (rc < 0)
		return rc;
	l->config.events.control(l->config.ctx, msg);
	pg_msg_free(msg);
	return 0;
}

static void on_wake(void *ctx)
{
	struct pg_link *l = ctx;
	if (l->lane)
		pg_lane_kick(l->lane);
}

static const struct pg_mux_ops mux_ops = {
	.opened = on_opened,
	.accepted = pg_relay_on_accepted,
	.data = pg_relay_on_data,
	.eof = pg_relay_on_eof,
	.gone = pg_relay_on_gone,
	.read = pg_relay_on_read,
	.control = on_control,
	.wake = on_wake,
};

static void on_tick(uv_timer_t *timer)
{
	struct pg_link *l = timer->data;
	uint64_t now = pg_now_us(), silence = pg_mux_silence_us(l->mux, now);
	if (silence >= (uint64_t)PG_SILENCE_MS * 1000) {
		struct pg_err err;
		pg_fail(&err, -ETIMEDOUT, "nothing heard for %d s.", PG_SILENCE_MS / 1000);
		pg_blame(&err, PG_LINK);
		fail(l, &err);
		return;
	}
	uint64_t verdict = now + (uint64_t)PG_SILENCE_MS * 1000 - silence;
	uint64_t next = pg_min_u64(pg_mux_tick(l->mux, now), verdict);
	uint64_t wait_ms = next > now ? (next - now + 999) / 1000 : 0;
	uv_timer_start(timer, on_tick, pg_min_u64(wait_ms, PG_PING_BUSY_MS), 0);
}

static void on_received(void *ctx, const uint8_t *p, size_t n)
{
	struct pg_link *l = ctx;
	int rc = pg_mux_feed(l->mux, p, n, pg_now_us());
	if (rc == 0 || l->ended)
		return;
	struct pg_err err;
	pg_fail(&err, rc, "the other side broke the protocol: %s", pg_mux_fault(l->mux));
	pg_blame(&err, PG_LINK);
	fail(l, &err);
}

static int on_pull(void *ctx, struct iovec *slots, int count)
{
	struct pg_link *l = ctx;
	return pg_mux_pull(l->mux, slots, count, pg_now_us());
}

static void on_lane_ended(void *ctx, const struct pg_err *why)
{
	fail(ctx, why);
}

int pg_link_new(struct pg_loop *loop, struct pg_lane *lane, const struct pg_link_config *config,
		const uint8_t *extra, size_t n, struct pg_link **out)
{
	struct pg_link *l = pg_calloc(1, sizeof(*l));
	if (!l) {
		pg_lane_close(lane);
		return -ENOMEM;
	}
	*l = (struct pg_link){ .loop = loop, .lane = lane, .config = *config };
	l->mux = pg_mux_new(&(struct pg_mux_config){ .odd = config->laptop,
						     .pool = config->pool,
						     .max_streams = config->max_streams,
						     .ops = &mux_ops,
						     .ctx = l },
			    pg_now_us());
	if (!l->mux) {
		pg_lane_close(lane);
		free(l);
		return -ENOMEM;
	}
	uv_timer_init(pg_loop_uv(loop), &l->tick);
	l->tick.data = l;
	pg_lane_own(lane, (struct pg_lane_events){ on_received, on_pull, on_lane_ended }, l);
	uv_timer_start(&l->tick, on_tick, 0, 0);
	*out = l;
	if (n > 0)
		on_received(l, extra, n);
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void pg_link_free(struct pg_link *l)
{
	if (!l)
		return;
	l->ended = true;
	/* Streams end first: their owners may still look at the link. What they queue is sent by
	 * the lane's last batch, as far as it fits. */
	struct pg_lane *lane = l->lane;
	l->lane = NULL;
	pg_lane_close(lane);
	pg_mux_free(l->mux);
	l->mux = NULL;
	uv_close((uv_handle_t *)&l->tick, on_timer_closed);
}

struct pg_mux *pg_link_mux(const struct pg_link *l)
{
	return l->mux;
}

int pg_link_send(struct pg_link *l, const Podgraft__V1__Control *msg)
{
	uint8_t bytes[PG_FRAME_MAX];
	int n = pg_msg_pack(msg, bytes, sizeof(bytes));
	return n < 0 ? n : pg_mux_control(l->mux, bytes, (size_t)n);
}
