#pragma once
#include "injector/platform.h"
#include "proto/io/link.h"

/* A session with one agent: the graft, the link to it, and questions with their answers. Commands
 * talk to a tunnel and know neither lanes nor proofs. Under load it opens further lanes, while the
 * command waits in pg_loop_serve(). */
struct pg_tunnel;

struct pg_tunnel_events {
	/* The agent opened a stream for a connection; as pg_link_events.opened. */
	enum pg_reset (*opened)(void *ctx, struct pg_stream *s, const Podgraft__V1__Open *open,
				struct pg_relay **relay_out);
	/* A message that answers no question that anybody waits for; checked, borrowed. */
	void (*told)(void *ctx, const Podgraft__V1__Control *msg);
	/* Once: the last lane is lost, every stream was told. */
	void (*lost)(void *ctx, const struct pg_err *why);
};

struct pg_tunnel_config {
	struct pg_loop *loop;
	struct pg_platform *platform;
	const struct pg_pod *pod;
	const struct pg_graft_spec *spec;
	const struct pg_graft *graft; /* this agent and no other; NULL: find or graft one */
	/* Random, the same for every tunnel of one command: who comes again with it goes on with
	 * what the agent still holds for it. */
	const uint8_t *session; /* PG_SESSION_BYTES */
	struct pg_tunnel_events events;
	void *ctx;
};

/* Grafts (or finds) the agent and links to it; a recorded agent that does not answer is replaced
 * by a new one, once. Straight-line. Everything in `config` is borrowed for the tunnel's life. */
int pg_tunnel_open(const struct pg_tunnel_config *config, struct pg_tunnel **out,
		   struct pg_err *err);

/* Says goodbye as far as the link takes it at once, and ends everything. NULL is allowed. */
void pg_tunnel_close(struct pg_tunnel *t);

const struct pg_graft *pg_tunnel_graft(const struct pg_tunnel *t);
bool pg_tunnel_is_lost(const struct pg_tunnel *t);

/* Payload of all lanes so far; the round trip of the first one that is up; how many are. */
struct pg_tunnel_traffic {
	uint64_t in, out, rtt_us;
	size_t lanes;
};
struct pg_tunnel_traffic pg_tunnel_traffic(const struct pg_tunnel *t);

/* Asks and does not wait: the answer comes as `told`. 0, -ENOTCONN, -ENOMEM, -ENOBUFS. */
int pg_tunnel_tell(struct pg_tunnel *t, Podgraft__V1__Control *question);

/* Asks and waits for the answer, which the caller frees with pg_msg_free(): `request` is filled in.
 * -ECONNRESET: the link was lost meanwhile. */
int pg_tunnel_ask(struct pg_tunnel *t, Podgraft__V1__Control *question,
		  Podgraft__V1__Control **answer, struct pg_err *err);
