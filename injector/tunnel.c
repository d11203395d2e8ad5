#include "injector/tunnel.h"

#include <errno.h>
#include <string.h>
#include <uv.h>

#include "injector/agent_api.h"
#include "proto/base/mem.h"

enum { ANSWER_MS = 15000, STREAMS_MAX = 16384, GOODBYE_MS = 10 };

struct pg_tunnel {
	struct pg_tunnel_config config;
	struct pg_graft graft;
	struct pg_link *link; /* NULL once lost */
	struct pg_err why;    /* of the loss */
	uint32_t asked;       /* the last question's number */
	uint32_t awaited;     /* that of the question somebody waits for, or 0 */
	uint8_t *answer;      /* packed: a message's own allocator is its unpacker's */
	size_t answer_len;
	bool stirred; /* an answer or the loss has come */
};

static void on_control(void *ctx, const Podgraft__V1__Control *msg)
{
	struct pg_tunnel *t = ctx;
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
	struct pg_tunnel *t = ctx;
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

static void on_link_ended(void *ctx, const struct pg_err *why)
{
	struct pg_tunnel *t = ctx;
	if (why)
		t->why = *why;
	else
		pg_fail(&t->why, -ECONNRESET, "the agent or a server between ended the link.");
	t->why.whose = PG_LINK;
	hint_at_image(&t->why);
	t->stirred = true;
	pg_link_free(t->link);
	t->link = NULL;
	if (t->config.events.lost)
		t->config.events.lost(t->config.ctx, &t->why);
}

static int link_up(struct pg_tunnel *t, struct pg_err *err)
{
	struct pg_agent_conn *conn = NULL;
	struct pg_link_config config = { .laptop = true,
					 .max_streams = STREAMS_MAX,
					 .events = { on_opened, on_control, on_link_ended },
					 .ctx = t };
	int rc = pg_agent_reach(t->config.loop, t->config.platform, t->config.pod, t->config.spec,
				&t->graft, &conn, err);
	if (rc < 0)
		return rc;
	return pg_agent_link(conn, t->config.spec->keys, t->config.session, &config, &t->link, err);
}

int pg_tunnel_open(const struct pg_tunnel_config *config, struct pg_tunnel **out,
		   struct pg_err *err)
{
	struct pg_tunnel *t = pg_calloc(1, sizeof(*t));
	if (!t)
		return pg_fail(err, -ENOMEM, "open a tunnel");
	t->config = *config;
	int rc = link_up(t, err);
	if (rc < 0) {
		pg_tunnel_close(t);
		return rc;
	}
	*out = t;
	return 0;
}

/* Lets the agent know that this is no accident, and gives the lane a moment to say so. */
static void say_goodbye(struct pg_tunnel *t)
{
	Podgraft__V1__Goodbye goodbye = PODGRAFT__V1__GOODBYE__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	msg.request = ++t->asked;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_GOODBYE;
	msg.goodbye = &goodbye;
	if (pg_link_send(t->link, &msg) < 0)
		return;
	t->stirred = false;
	pg_loop_wait(t->config.loop, &t->stirred, pg_loop_now_ms(t->config.loop) + GOODBYE_MS);
}

void pg_tunnel_close(struct pg_tunnel *t)
{
	if (!t)
		return;
	t->config.events.lost = NULL;
	if (t->link)
		say_goodbye(t);
	pg_link_free(t->link);
	free(t->answer);
	free(t);
}

const struct pg_graft *pg_tunnel_graft(const struct pg_tunnel *t)
{
	return &t->graft;
}

struct pg_mux *pg_tunnel_mux(const struct pg_tunnel *t)
{
	return t->link ? pg_link_mux(t->link) : NULL;
}

bool pg_tunnel_is_lost(const struct pg_tunnel *t)
{
	return !t->link;
}

int pg_tunnel_tell(struct pg_tunnel *t, Podgraft__V1__Control *question)
{
	question->request = ++t->asked;
	return t->link ? pg_link_send(t->link, question) : -ENOTCONN;
}

int pg_tunnel_ask(struct pg_tunnel *t, Podgraft__V1__Control *question,
		  Podgraft__V1__Control **answer, struct pg_err *err)
{
	uint64_t deadline = pg_loop_now_ms(t->config.loop) + ANSWER_MS;
	int rc = 0;
	question->request = t->awaited = ++t->asked;
	free(pg_take_ptr(&t->answer));
	t->stirred = false;
	if (t->link)
		rc = pg_link_send(t->link, question);
	if (rc < 0)
		return pg_fail(err, rc, "ask the agent");
	if (t->link)
		rc = pg_loop_wait(t->config.loop, &t->stirred, deadline);
	if (!t->link) {
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
