#include "injector/tunnel.h"

#include <errno.h>
#include <string.h>

#include "injector/agent_api.h"
#include "injector/tunnel_impl.h"
#include "proto/base/mem.h"

enum { ANSWER_MS = 15000, STREAMS_MAX = 16384, GOODBYE_MS = 10 };

static void on_control(void *ctx, const Podgraft__V1__Control *msg)
{
	struct pg_tunnel_lane *lane = ctx;
	struct pg_tunnel *t = lane->tunnel;
	if (msg->body_case == PODGRAFT__V1__CONTROL__BODY_LANE_REST) {
		pg_tunnel_lane_rested(lane);
		return;
	}
	if (msg->request == 0 || msg->request != t->awaited) {
		if (t->config.events.told)
			t->config.events.told(t->config.ctx, msg);
		return;
	}
	t->awaited = 0;
	size_t room = protobuf_c_message_get_packed_size(&msg->base);
	t->answer = pg_calloc(room + 1, 1);
	if (!t->answer)
		return;
	t->answer_len = protobuf_c_message_pack(&msg->base, t->answer);
	t->stirred = true;
}

static enum pg_reset on_opened(void *ctx, struct pg_stream *s, const Podgraft__V1__Open *open,
			       struct pg_relay **relay_out)
{
	struct pg_tunnel *t = ((struct pg_tunnel_lane *)ctx)->tunnel;
	if (!t->config.events.opened)
		return PG_RESET_UNKNOWN;
	return t->config.events.opened(t->config.ctx, s, open, relay_out);
}

/* Ours does not break the protocol. */
static void hint_at_image(struct pg_err *why)
{
	if (why->code == -EPROTO)
		pg_hint(why, PG_LINK,
			"if it happens again, see that --image names podgraft's agent of version "
			"%s",
			PG_VERSION);
}

/* The lane that is gone carried a question: nobody knows whether it arrived. */
static void lose_answer(struct pg_tunnel *t, const struct pg_tunnel_lane *lane)
{
	if (t->awaited == 0 || t->via != lane)
		return;
	t->awaited = 0;
	t->stirred = true;
}

/* The loss of one lane resets its streams only; that of the last is the end of the tunnel. */
static void on_link_ended(void *ctx, const struct pg_err *why)
{
	struct pg_tunnel_lane *lane = ctx;
	struct pg_tunnel *t = lane->tunnel;
	if (why)
		t->why = *why;
	else
		pg_fail(&t->why, -ECONNRESET, "the agent or a server between ended the link.");
	t->why.whose = PG_LINK;
	hint_at_image(&t->why);
	lose_answer(t, lane);
	pg_tunnel_lane_end(lane);
	if (t->is_lost || pg_tunnel_lane(t))
		return;
	t->is_lost = t->stirred = true;
	pg_tunnel_lanes_stop(t);
	for (int i = 0; i < PG_LANES_MAX; i++)
		if (t->lanes[i].link) /* resting */
			pg_tunnel_lane_end(&t->lanes[i]);
	if (t->config.events.lost)
		t->config.events.lost(t->config.ctx, &t->why);
}

int pg_tunnel_link(struct pg_tunnel_lane *lane, struct pg_agent_conn *conn, struct pg_err *err)
{
	struct pg_tunnel *t = lane->tunnel;
	struct pg_link_config config = { .laptop = true,
					 .max_streams = STREAMS_MAX,
					 .pool = &t->pool,
					 .events = { on_opened, on_control, on_link_ended },
					 .ctx = lane };
	return pg_agent_link(conn, t->config.spec->keys, t->config.session, &config, &lane->link,
			     err);
}

static int link_up(struct pg_tunnel *t, struct pg_err *err)
{
	struct pg_agent_conn *conn = NULL;
	int rc;
	if (t->config.graft) {
		t->graft = *t->config.graft;
		rc = pg_agent_connect(t->config.loop, t->config.platform, t->config.pod, &t->graft,
				      &conn, err);
	} else {
		rc = pg_agent_reach(t->config.loop, t->config.platform, t->config.pod,
				    t->config.spec, &t->graft, &conn, err);
	}
	return rc < 0 ? rc : pg_tunnel_link(&t->lanes[0], conn, err);
}

int pg_tunnel_open(const struct pg_tunnel_config *config, struct pg_tunnel **out,
		   struct pg_err *err)
{
	struct pg_tunnel *t = pg_calloc(1, sizeof(*t));
	if (!t)
		return pg_fail(err, -ENOMEM, "open a tunnel");
	t->config = *config;
	t->pool.bytes = PG_POOL_LAPTOP;
	for (int i = 0; i < PG_LANES_MAX; i++)
		t->lanes[i].tunnel = t;
	uv_timer_init(pg_loop_uv(config->loop), &t->look);
	t->look.data = t;
	int rc = link_up(t, err);
	if (rc < 0) {
		pg_tunnel_close(t);
		return rc;
	}
	pg_tunnel_lanes_start(t);
	*out = t;
	return 0;
}

/* Lets the agent know that this is no accident, and gives the lane a moment to say so. */
static void say_goodbye(struct pg_tunnel *t, struct pg_link *link)
{
	Podgraft__V1__Goodbye goodbye = PODGRAFT__V1__GOODBYE__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	msg.request = ++t->asked;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_GOODBYE;
	msg.goodbye = &goodbye;
	if (pg_link_send(link, &msg) < 0)
		return;
	t->stirred = false;
	pg_loop_wait(t->config.loop, &t->stirred, pg_loop_now_ms(t->config.loop) + GOODBYE_MS);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void pg_tunnel_close(struct pg_tunnel *t)
{
	if (!t)
		return;
	t->config.events.lost = NULL;
	pg_tunnel_lanes_stop(t);
	struct pg_tunnel_lane *lane = pg_tunnel_lane(t);
	if (lane)
		say_goodbye(t, lane->link);
	for (int i = 0; i < PG_LANES_MAX; i++)
		if (t->lanes[i].link)
			pg_tunnel_lane_end(&t->lanes[i]);
	free(t->answer);
	uv_close((uv_handle_t *)&t->look, on_closed);
}

const struct pg_graft *pg_tunnel_graft(const struct pg_tunnel *t)
{
	return &t->graft;
}

struct pg_tunnel_traffic pg_tunnel_traffic(const struct pg_tunnel *t)
{
	struct pg_tunnel_traffic sum = t->ended;
	for (int i = 0; i < PG_LANES_MAX; i++) {
		if (!t->lanes[i].link)
			continue;
		const struct pg_mux *mux = pg_link_mux(t->lanes[i].link);
		sum.in += pg_mux_bytes_in(mux);
		sum.out += pg_mux_bytes_out(mux);
		sum.rtt_us = sum.lanes == 0 ? pg_mux_rtt_us(mux) : sum.rtt_us;
		sum.lanes++;
	}
	return sum;
}

bool pg_tunnel_is_lost(const struct pg_tunnel *t)
{
	return t->is_lost;
}

int pg_tunnel_tell(struct pg_tunnel *t, Podgraft__V1__Control *question)
{
	struct pg_tunnel_lane *lane = pg_tunnel_lane(t);
	question->request = ++t->asked;
	return lane ? pg_link_send(lane->link, question) : -ENOTCONN;
}

int pg_tunnel_ask(struct pg_tunnel *t, Podgraft__V1__Control *question,
		  Podgraft__V1__Control **answer, struct pg_err *err)
{
	uint64_t deadline = pg_loop_now_ms(t->config.loop) + ANSWER_MS;
	struct pg_tunnel_lane *lane = pg_tunnel_lane(t);
	int rc = 0;
	question->request = ++t->asked;
	free(pg_take_ptr(&t->answer));
	t->stirred = false;
	if (lane)
		rc = pg_link_send(lane->link, question);
	if (rc < 0)
		return pg_fail(err, rc, "ask the agent");
	t->awaited = question->request;
	t->via = lane;
	if (lane)
		rc = pg_loop_wait(t->config.loop, &t->stirred, deadline);
	if (!lane || (rc == 0 && !t->answer)) {
		*err = t->why;
		return err->code;
	}
	if (rc == -ETIMEDOUT) {
		pg_fail(err, rc, "the agent does not answer within %d s.", ANSWER_MS / 1000);
		return pg_hint(err, PG_LINK, "see what it says: kubectl logs -n %s %s -c %s",
			       t->config.pod->ns, t->config.pod->name, t->graft.container);
	}
	if (rc < 0)
		return pg_fail(err, rc, "ask the agent");
	rc = pg_msg_unpack(t->answer, t->answer_len, answer, NULL);
	return rc < 0 ? pg_fail(err, rc, "read the agent's answer") : 0;
}
