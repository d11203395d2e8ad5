#include "injector/redirect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "injector/redirect_impl.h"
#include "proto/base/mem.h"
#include "proto/io/relay.h"
#include "proto/io/sock.h"

struct pg_redirect_connection {
	struct pg_redirect_set *all;
	struct pg_redirect_connection *next, **link;
	const struct pg_redirect_entry *entry;
	struct pg_relay *relay;
};

const char *pg_redirect_word(const struct pg_redirect_want *want)
{
	return want->outgoing ? "outgoing " : "";
}

struct pg_redirect_set *pg_redirect_set_new(struct pg_loop *loop, const struct pg_log *log,
					    const struct pg_redirect_manner *manner)
{
	struct pg_redirect_set *r = pg_calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	*r = (struct pg_redirect_set){ .loop = loop, .log = log, .manner = manner };
	uv_timer_init(pg_loop_uv(loop), &r->again);
	r->again.data = r;
	return r;
}

static void drop(struct pg_redirect_connection *c)
{
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->all->counts.open--;
	if (c->relay) {
		c->all->counts.bytes_in += pg_relay_bytes_down(c->relay);
		c->all->counts.bytes_out += pg_relay_bytes_up(c->relay);
	}
	free(c);
}

void pg_redirect_set_cut(struct pg_redirect_set *r)
{
	while (r->first) {
		pg_relay_free(r->first->relay);
		drop(r->first);
	}
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void pg_redirect_set_free(struct pg_redirect_set *r)
{
	if (!r)
		return;
	pg_redirect_set_cut(r);
	pg_redirect_set_disarmed(r);
	uv_close((uv_handle_t *)&r->again, on_closed);
}

static void say_refused(struct pg_redirect_set *r, const struct pg_redirect_entry *e,
			const char *why)
{
	char text[PG_ADDR_TEXT];
	r->counts.refused++;
	pg_addr_text(&e->want.local, text);
	if (pg_quota_pass(&r->refusals, 1, PG_REDIRECT_SAY_MS, pg_loop_now_ms(r->loop)) > 0)
		pg_log(r->log, PG_INFO, "%sport %u: %s: %s", pg_redirect_word(&e->want),
		       e->want.pod_port, text, why);
}

static void on_relay_ended(void *ctx, enum pg_reset why)
{
	struct pg_redirect_connection *c = ctx;
	if (why == PG_RESET_REFUSED || why == PG_RESET_TIMEOUT)
		say_refused(c->all, c->entry, pg_reset_name(why));
	drop(c);
}

static const struct pg_relay_events relay_events = { .ended = on_relay_ended };

/* A connection object on the list, with its relay to a socket that is being connected. */
static int add(struct pg_redirect_set *r, const struct pg_redirect_entry *e, int fd,
	       struct pg_redirect_connection **out)
{
	struct pg_redirect_connection *c = pg_calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	int rc = pg_relay_new(r->loop, fd, true, &relay_events, c, &c->relay);
	if (rc < 0) {
		free(c);
		return rc;
	}
	c->all = r;
	c->entry = e;
	c->next = r->first;
	c->link = &r->first;
	if (c->next)
		c->next->link = &c->next;
	r->first = c;
	r->counts.open++;
	*out = c;
	return 0;
}

/* Tells whoever wants to know who calls, and the local program, if it is to be told. */
static int introduce(struct pg_redirect_set *r, const struct pg_redirect_entry *e,
		     const Podgraft__V1__Open *open, struct pg_relay *relay)
{
	struct sockaddr_storage peer = { 0 }, local = { 0 };
	uint8_t header[PG_PROXY_HEADER_MAX];
	pg_addr_set(&peer, open->peer_address.data, (int)open->peer_address.len,
		    (uint16_t)open->peer_port);
	pg_addr_set(&local, open->local_address.data, (int)open->local_address.len,
		    (uint16_t)open->local_port);
	if (r->manner->opened)
		r->manner->opened(r->manner->ctx, &e->want, &peer, &local);
	size_t n = pg_proxy_header(r->manner->proxy, &peer, &local, header);
	return n > 0 ? pg_relay_begin_with(relay, header, n) : 0;
}

enum pg_reset pg_redirect_set_opened(void *ctx, struct pg_stream *s, const Podgraft__V1__Open *open,
				     struct pg_relay **relay_out)
{
	struct pg_redirect_set *r = ctx;
	struct pg_redirect_connection *c;
	if (open->redirect == 0 || open->redirect > r->count)
		return PG_RESET_UNKNOWN;
	struct pg_redirect_entry *e = &r->entries[open->redirect - 1];
	r->counts.total++;
	int fd = pg_sock_connect((const struct sockaddr *)&e->want.local, 0);
	e->limited = fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS;
	if (fd < 0) {
		say_refused(r, e, strerror(-fd));
		return e->limited ? PG_RESET_LIMIT : PG_RESET_REFUSED;
	}
	if (add(r, e, fd, &c) < 0) {
		pg_sock_close_reset(fd);
		e->limited = true;
		return PG_RESET_LIMIT;
	}
	if (introduce(r, e, open, c->relay) < 0) {
		pg_relay_free(c->relay);
		drop(c);
		return PG_RESET_LIMIT;
	}
	*relay_out = c->relay; /* `c` may end while it is attached */
	pg_relay_attach(*relay_out, s);
	return 0;
}

int pg_redirect_set_add(struct pg_redirect_set *r, const struct pg_redirect_want *want,
			struct pg_err *err)
{
	if (r->count == PG_REDIRECTS_MAX)
		return pg_fail(err, -ENOSPC, "more than %d redirects.", PG_REDIRECTS_MAX);
	r->entries[r->count++] = (struct pg_redirect_entry){ .all = r, .want = *want };
	return 0;
}

void pg_redirect_set_replan(struct pg_redirect_set *r, size_t i,
			    const struct pg_redirect_want *want)
{
	if (i < r->count)
		r->entries[i].want = *want;
}

static void add_told(struct pg_redirect_counts *sum, const struct pg_redirect_entry *e)
{
	sum->laptop += e->told.laptop;
	sum->app += e->told.app;
	sum->probes += e->told.probes;
}

void pg_redirect_entry_settle(struct pg_redirect_entry *e)
{
	struct pg_redirect_counts *sum = &e->all->counts;
	add_told(sum, e);
	sum->laptop = pg_min_u64(sum->laptop, PG_REDIRECT_COUNT_MAX);
	sum->app = pg_min_u64(sum->app, PG_REDIRECT_COUNT_MAX);
	sum->probes = pg_min_u64(sum->probes, PG_REDIRECT_COUNT_MAX);
	e->told = (struct pg_redirect_counts){ 0 };
	e->counting = 0;
}

void pg_redirect_set_disarmed(struct pg_redirect_set *r)
{
	r->tunnel = NULL;
	uv_timer_stop(&r->again);
	for (size_t i = 0; i < r->count; i++) {
		struct pg_redirect_entry *e = &r->entries[i];
		e->armed = false;
		e->short_of = 0;
		e->undecided = 0; /* nobody will tell */
		pg_redirect_entry_stop_probing(e);
	}
}

const struct pg_redirect_holder *pg_redirect_set_holder(const struct pg_redirect_set *r, size_t i)
{
	return i < r->count && r->entries[i].held ? &r->entries[i].holder : NULL;
}

struct pg_redirect_counts pg_redirect_set_counts(const struct pg_redirect_set *r)
{
	struct pg_redirect_counts counts = r->counts;
	counts.redirects = r->count;
	for (size_t i = 0; i < r->count; i++) {
		counts.parked += r->entries[i].probe || r->entries[i].short_of;
		counts.taken += r->entries[i].taken;
		counts.held += r->entries[i].held;
		counts.undecided += r->entries[i].undecided;
		add_told(&counts, &r->entries[i]);
	}
	return counts;
}
