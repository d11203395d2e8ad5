#include "agent/connections.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "agent/rules.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"
#include "proto/io/relay.h"
#include "proto/io/sock.h"

static_assert(PG_BY_APP_BYTES <= PG_WAITING_BYTES,
	      "all that wait may fall back at once, and hold no more than they were counted for");

enum { PATIENCE_MS = 1000, PATIENCE_ROUND_TRIPS = 8 };

struct connection {
	struct pg_connections *all;
	struct connection *next, **link;
	struct sockaddr_storage local; /* where the client was going */
	uint32_t mark;                 /* of our socket there */
	uint32_t serial, arming;       /* of its redirect */
	bool no_fallback;              /* reset what the laptop does not serve */
	bool is_probe;                 /* of the kubelet's */
	bool is_served;                /* by the laptop, or by the app */
	size_t held_bytes;             /* at most; part of the sum */
	uv_timer_t patience;           /* runs until the laptop has accepted */
	struct pg_relay *relay;        /* served by the laptop, */
	struct pg_bridge *bridge;      /* or by the app */
};

struct pg_connections {
	struct pg_loop *loop;
	const struct pg_log *log;
	struct pg_pressure *pressure;
	const struct pg_connections_events *events;
	void *ctx;
	struct connection *first;
	size_t count;
	uint64_t held_bytes;
	uint64_t served[PG_SERVED_COUNT];
	struct pg_quota refusals;
};

struct pg_connections *pg_connections_new(struct pg_loop *loop, const struct pg_log *log,
					  struct pg_pressure *pressure,
					  const struct pg_connections_events *events, void *ctx)
{
	struct pg_connections *all = pg_calloc(1, sizeof(*all));
	if (all)
		*all = (struct pg_connections){
			.loop = loop, .log = log, .pressure = pressure, .events = events, .ctx = ctx
		};
	return all;
}

/* From now on `c` holds at most so much. */
static void holds(struct connection *c, size_t bytes)
{
	struct pg_connections *all = c->all;
	all->held_bytes = all->held_bytes - c->held_bytes + bytes;
	c->held_bytes = bytes;
	pg_pressure_bytes(all->pressure, all->held_bytes);
}

static struct connection *add(struct pg_connections *all)
{
	struct connection *c = pg_calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	uv_timer_init(pg_loop_uv(all->loop), &c->patience);
	c->patience.data = c;
	c->all = all;
	c->next = all->first;
	c->link = &all->first;
	if (c->next)
		c->next->link = &c->next;
	all->first = c;
	all->count++;
	holds(c, PG_WAITING_BYTES);
	return c;
}

static void on_dropped(uv_handle_t *handle)
{
	free(handle->data);
}

static void drop(struct connection *c)
{
	struct pg_connections *all = c->all;
	holds(c, 0);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	uv_close((uv_handle_t *)&c->patience, on_dropped);
	if (--all->count == 0)
		all->events->emptied(all->ctx);
}

static void count(struct connection *c, enum pg_served how)
{
	c->is_served = true;
	c->all->served[how]++;
	c->all->events->served(c->all->ctx, c->serial, how);
}

static void on_bridge_joined(void *ctx)
{
	struct connection *c = ctx;
	count(c, c->is_probe ? PG_AS_PROBE : PG_BY_APP);
}

/* Who is refused by the app as well was served by nobody: it has seen the reset that the app's port
 * gives without us. */
static void on_bridge_ended(void *ctx)
{
	drop(ctx);
}

static const struct pg_bridge_events bridge_events = { on_bridge_joined, on_bridge_ended };

/* Joins the client to the app; what it has sent so far goes first. */
static void fall_back(struct connection *c, int fd, struct pg_byteq *kept, bool at_eof)
{
	int app = pg_sock_connect((const struct sockaddr *)&c->local, c->mark);
	int rc = app;
	if (app < 0)
		pg_sock_close_reset(fd);
	else
		rc = pg_bridge_new(c->all->loop, fd, app, kept, at_eof, &bridge_events, c,
				   &c->bridge);
	pg_byteq_fini(kept);
	holds(c, PG_BY_APP_BYTES);
	if (rc < 0)
		drop(c);
}

static void on_refused(void *ctx, int fd, struct pg_byteq *kept, bool at_eof, enum pg_reset why)
{
	struct connection *c = ctx;
	uint32_t pass = pg_quota_pass(&c->all->refusals, 1, 10000, pg_loop_now_ms(c->all->loop));
	if (pass > 0)
		pg_log(c->all->log, PG_WARN,
		       "the laptop did not serve a connection (%s): the app does",
		       pg_reset_name(why));
	c->relay = NULL;
	uv_timer_stop(&c->patience);
	if (why == PG_RESET_REFUSED || why == PG_RESET_TIMEOUT || why == PG_RESET_LIMIT)
		c->all->events->unserved(c->all->ctx, c->arming); /* nor the next one */
	fall_back(c, fd, kept, at_eof);
}

static void on_accepted(void *ctx)
{
	struct connection *c = ctx;
	uv_timer_stop(&c->patience);
	holds(c, PG_BY_LAPTOP_BYTES);
	count(c, PG_BY_LAPTOP);
}

/* No answer from the laptop for longer than any healthy one takes. */
static void on_out_of_patience(uv_timer_t *timer)
{
	struct connection *c = timer->data;
	if (!c->no_fallback) {
		pg_relay_give_back(c->relay, PG_RESET_TIMEOUT);
		return;
	}
	pg_relay_free(c->relay);
	drop(c);
}

static void on_relay_ended(void *ctx, enum pg_reset why)
{
	(void)why;
	drop(ctx);
}

static const struct pg_relay_events relay_events = { .refused = on_refused,
						     .accepted = on_accepted,
						     .ended = on_relay_ended };
static const struct pg_relay_events strict_events = { .accepted = on_accepted,
						      .ended = on_relay_ended };

/* Opens the stream for `c`: 0, or a negative errno with `c` and `a` untouched. */
static int open_stream(struct connection *c, struct pg_link *link, uint32_t redirect,
		       const struct pg_arrival *a)
{
	uint8_t packed[128], peer_bytes[16], local_bytes[16];
	uint16_t peer_port, local_port;
	Podgraft__V1__Open open = PODGRAFT__V1__OPEN__INIT;
	open.redirect = redirect;
	open.peer_address.data = peer_bytes;
	open.peer_address.len = (size_t)pg_addr_bytes(a->peer, peer_bytes, &peer_port);
	open.peer_port = peer_port;
	open.local_address.data = local_bytes;
	open.local_address.len = (size_t)pg_addr_bytes(&c->local, local_bytes, &local_port);
	open.local_port = local_port;
	int n = pg_open_pack(&open, packed, sizeof(packed));
	if (n < 0)
		return n;
	struct pg_stream *stream;
	struct pg_relay *relay;
	int rc = pg_relay_new(c->all->loop, a->fd, false,
			      c->no_fallback ? &strict_events : &relay_events, c, &relay);
	if (rc < 0)
		return rc;
	rc = pg_mux_open(pg_link_mux(link), packed, (size_t)n, relay, &stream);
	if (rc == 0 && a->first) {
		rc = pg_relay_put_back(relay, a->first);
		if (rc < 0)
			pg_stream_reset(stream, PG_RESET_LIMIT);
	}
	if (rc < 0) {
		pg_relay_release(relay);
		return rc;
	}
	c->relay = relay;
	pg_relay_attach(relay, stream);
	uint64_t round_trips_ms = pg_mux_rtt_us(pg_link_mux(link)) * PATIENCE_ROUND_TRIPS / 1000;
	uv_timer_start(&c->patience, on_out_of_patience, pg_max(PATIENCE_MS, round_trips_ms), 0);
	return 0;
}

void pg_connections_serve(struct pg_connections *all, struct pg_link *link,
			  const struct pg_redirect *rd, const struct pg_arrival *a)
{
	struct connection *c = add(all);
	if (!c) {
		pg_sock_close_reset(a->fd);
		return;
	}
	c->local = *a->local;
	c->mark = a->mark;
	c->serial = rd->serial;
	c->arming = rd->arming;
	c->is_probe = a->is_probe;
	c->no_fallback = rd->terms.no_fallback;
	if (link && !a->to_app && open_stream(c, link, rd->id, a) == 0)
		return;
	if (c->no_fallback && !a->to_app) {
		pg_sock_close_reset(a->fd);
		drop(c);
		return;
	}
	struct pg_byteq nothing;
	pg_byteq_init(&nothing, PG_UNACCEPTED_MAX);
	fall_back(c, a->fd, a->first ? a->first : &nothing, false);
}

size_t pg_connections_undecided(const struct pg_connections *all, uint32_t serial)
{
	size_t n = 0;
	for (const struct connection *c = all->first; c; c = c->next)
		n += c->serial == serial && !c->is_served;
	return n;
}

size_t pg_connections_open(const struct pg_connections *all)
{
	return all->count;
}

uint64_t pg_connections_served(const struct pg_connections *all, enum pg_served how)
{
	return all->served[how];
}

void pg_connections_close(struct pg_connections *all)
{
	while (all->first) {
		struct connection *c = all->first;
		if (c->relay)
			pg_relay_free(c->relay);
		if (c->bridge)
			pg_bridge_free(c->bridge);
		drop(c);
	}
	free(all);
}
