/* What a rule took: to the owner of its redirect, and how it was served in the end. */
#include "agent/redirects_impl.h"

#include "proto/io/sock.h"

enum { COUNTS_MS = 1000 };

/* Whose the connection is. What the kernel had taken when the rule went is still its redirect's. */
static const struct pg_redirect *find_taker(const struct pg_redirects *all,
					    enum pg_direction direction, uint16_t port)
{
	for (size_t i = 0; i < all->count; i++)
		if (redirects_is_at(&all->table[i], direction, port))
			return &all->table[i];
	for (const struct redirects_leaving *l = all->leaving; l; l = l->next)
		if (redirects_is_at(&l->rd, direction, port))
			return &l->rd;
	return &all->orphans;
}

/* NULL: that one is no more. */
static struct pg_redirect *find_serial(struct pg_redirects *all, uint32_t serial)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->table[i].serial == serial)
			return &all->table[i];
	for (struct redirects_leaving *l = all->leaving; l; l = l->next)
		if (l->rd.serial == serial)
			return &l->rd;
	return NULL;
}

/* One whose redirect has gone may be taken as sent to a mesh's proxy, which lets others pass. */
static uint32_t mark_of(const struct pg_redirects *all, const struct pg_redirect *rd,
			const struct pg_arrival *a)
{
	bool wire = (rd->wire || rd->id == 0) && all->intake;
	return wire ? pg_rules_mark_wire(pg_intake_rules(all->intake), a->peer, a->local) : PG_MARK;
}

/* To its redirect's owner. While something is short the app serves those that a rule took just
 * before: what is parked is not the laptop's. */
static void hand_over(struct pg_redirects *all, const struct pg_redirect *rd, struct pg_arrival *a)
{
	a->mark = mark_of(all, rd, a);
	a->to_app = a->is_probe || all->shortage != 0;
	if (a->to_app && !a->is_probe && rd->terms.no_fallback)
		pg_sock_close_reset(a->fd);
	else
		rd->owner->arrived(rd->ctx, rd, a);
}

void redirects_on_arrived(void *ctx, int fd, const struct sockaddr_storage *peer,
			  const struct sockaddr_storage *local, enum pg_direction direction)
{
	struct pg_redirects *all = ctx;
	uint8_t bytes[16];
	uint16_t port = 0;
	pg_pressure_file(all->pressure, fd);
	pg_addr_bytes(local, bytes, &port);
	const struct pg_redirect *rd = find_taker(all, direction, port);
	struct pg_look look = { fd, *peer, *local, rd->serial, rd->terms.grpc };
	struct pg_arrival arrival = { .fd = fd, .peer = peer, .local = local };
	if (!pg_nodes_have(&rd->terms.nodes, peer) || pg_looks_add(all->looks, &look) < 0)
		hand_over(all, rd, &arrival);
}

void redirects_on_looked(void *ctx, const struct pg_look *look, struct pg_byteq *first,
			 bool is_probe)
{
	struct pg_redirects *all = ctx;
	const struct pg_redirect *rd = find_serial(all, look->serial);
	struct pg_redirect orphan = all->orphans;
	struct pg_arrival arrival = { .fd = look->fd,
				      .peer = &look->peer,
				      .local = &look->local,
				      .first = first,
				      .is_probe = is_probe };
	orphan.serial = look->serial; /* whose it was counts it */
	hand_over(all, rd ? rd : &orphan, &arrival);
	pg_byteq_fini(first);
}

void redirects_tell_counts(struct pg_redirect *rd)
{
	if (rd->has_news)
		rd->owner->counted(rd->ctx, rd);
	rd->has_news = false;
}

static void on_counts(uv_timer_t *timer)
{
	struct pg_redirects *all = timer->data;
	for (size_t i = 0; i < all->count; i++)
		redirects_tell_counts(&all->table[i]);
}

void pg_redirects_served(struct pg_redirects *all, uint32_t serial, enum pg_served how)
{
	struct pg_redirect *rd = find_serial(all, serial);
	if (!rd)
		rd = redirects_find_ended(all, serial);
	if (!rd)
		return;
	rd->served[how]++;
	rd->has_news = true;
	if (!uv_is_active((uv_handle_t *)&all->counts))
		uv_timer_start(&all->counts, on_counts, COUNTS_MS, 0);
}
