#include <errno.h>

#include "injector/agent_api.h"
#include "injector/tunnel_impl.h"
#include "proto/base/num.h"

/* A session has one lane at first. While several connections keep it busy more are opened, by a job
 * of the loop; the agent puts new streams where the fewest are. A lane that nobody has used for a
 * while rests: the agent is asked to open nothing more on it, so that closing it can hurt no
 * stream that is just on its way. */

enum {
	IDLE_LOOK_MS = 500,
	EMPTY_MS = 30000, /* without a stream: then a further lane is given up */
	PAUSE_MS = 30000, /* after one that could not be opened */
	AGAIN_MS = 1000,  /* after one that something else interrupted */
};

struct pg_tunnel_lane *pg_tunnel_lane(struct pg_tunnel *t)
{
	for (int i = 0; i < PG_LANES_MAX; i++)
		if (t->lanes[i].link && !t->lanes[i].is_resting)
			return &t->lanes[i];
	return NULL;
}

void pg_tunnel_lane_end(struct pg_tunnel_lane *lane)
{
	struct pg_mux *mux = pg_link_mux(lane->link);
	struct pg_tunnel *t = lane->tunnel;
	t->ended.in += pg_mux_bytes_in(mux);
	t->ended.out += pg_mux_bytes_out(mux);
	struct pg_link *link = lane->link;
	*lane = (struct pg_tunnel_lane){ .tunnel = t };
	pg_link_free(link);
}

static void end_if_done(struct pg_tunnel_lane *lane)
{
	if (lane->has_rested && pg_mux_streams(pg_link_mux(lane->link)) == 0)
		pg_tunnel_lane_end(lane);
}

void pg_tunnel_lane_rested(struct pg_tunnel_lane *lane)
{
	lane->has_rested = lane->is_resting;
}

static void let_rest(struct pg_tunnel_lane *lane)
{
	Podgraft__V1__LaneRest rest = PODGRAFT__V1__LANE_REST__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	msg.request = ++lane->tunnel->asked;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_LANE_REST;
	msg.lane_rest = &rest;
	lane->is_resting = pg_link_send(lane->link, &msg) == 0;
}

/* Adds what `lane` did since the last look. */
static void look_at(struct pg_tunnel_lane *lane, struct pg_load_look *look)
{
	struct pg_mux *mux = pg_link_mux(lane->link);
	uint64_t now_ms = pg_loop_now_ms(lane->tunnel->config.loop);
	uint64_t moved = pg_mux_bytes_in(mux) + pg_mux_bytes_out(mux);
	uint64_t rtt_us = pg_mux_rtt_min_us(mux);
	look->lively += pg_mux_lively(mux);
	look->bytes += moved - lane->moved;
	look->lanes += !lane->is_resting;
	look->rtt_us = look->rtt_us ? pg_min_u64(look->rtt_us, rtt_us) : rtt_us;
	lane->moved = moved;
	if (pg_mux_streams(mux) > 0)
		lane->empty_from_ms = 0;
	else if (lane->empty_from_ms == 0)
		lane->empty_from_ms = now_ms;
	else if (now_ms - lane->empty_from_ms >= EMPTY_MS && !lane->is_resting &&
		 lane != pg_tunnel_lane(lane->tunnel))
		let_rest(lane);
}

static void on_look(uv_timer_t *timer)
{
	struct pg_tunnel *t = timer->data;
	struct pg_load_look look = { 0 };
	for (int i = 0; i < PG_LANES_MAX; i++) {
		if (t->lanes[i].link)
			look_at(&t->lanes[i], &look);
		if (t->lanes[i].link)
			end_if_done(&t->lanes[i]);
	}
	if (pg_load_wants_lane(&t->load, &look, pg_loop_now_ms(t->config.loop)))
		pg_loop_job(t->config.loop, &t->widen);
	uv_timer_start(timer, on_look, look.lively > 1 ? PG_LOAD_LOOK_MS : IDLE_LOOK_MS, 0);
}

/* The job: one lane more, if the agent is still there. */
static void widen(void *ctx)
{
	struct pg_tunnel *t = ctx;
	struct pg_tunnel_lane *lane = NULL;
	struct pg_agent_conn *conn;
	struct pg_err err = { 0 };
	for (int i = 0; i < PG_LANES_MAX && !lane; i++)
		lane = t->lanes[i].link ? NULL : &t->lanes[i];
	if (!lane || t->is_lost)
		return;
	int rc = pg_agent_connect(t->config.loop, t->config.platform, t->config.pod, &t->graft,
				  &conn, &err);
	if (rc == 0)
		rc = pg_tunnel_link(lane, conn, &err);
	if (rc == 0 && t->is_lost) /* meanwhile: what comes next begins with one lane of its own */
		pg_tunnel_lane_end(lane);
	if (rc < 0)
		pg_load_failed(&t->load, pg_loop_now_ms(t->config.loop),
			       rc == -ECANCELED ? AGAIN_MS : PAUSE_MS);
}

void pg_tunnel_lanes_start(struct pg_tunnel *t)
{
	t->widen = (struct pg_task){ .run = widen, .ctx = t };
	uv_timer_start(&t->look, on_look, IDLE_LOOK_MS, 0);
}

void pg_tunnel_lanes_stop(struct pg_tunnel *t)
{
	uv_timer_stop(&t->look);
	pg_loop_no_job(t->config.loop, &t->widen);
}
