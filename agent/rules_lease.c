/* Leases: everything in our table that touches a packet is in a set for PG_LEASE_MS and renewed
 * long before, so an agent that hangs, or whose rules outlive it, stops nobody. What is parked has
 * a lease as well, in a set of its own that no rule reads: to other agents its claim stands. */
#include "agent/rules_impl.h"

#include <errno.h>

#include "agent/nft_dump.h"

/* Without owned tables another agent may have taken a port whose lease had run out. */
static int check_ours(struct pg_rules *r, struct rules_entry *e, struct pg_err *err)
{
	if (r->claims.owned || !pg_claim_is_live(&r->claims, e->direction, e->port))
		return 0;
	pg_fail(err, -EBUSY, "%sport %u was taken by another agent.",
		pg_direction_word(e->direction), e->port);
	rules_forget(r, e);
	return -EBUSY;
}

int pg_rules_park(struct pg_rules *r, enum pg_direction direction, uint16_t port, bool parked,
		  struct pg_err *err)
{
	struct rules_entry *e = rules_find(r, direction, port);
	if (!e)
		return rules_not_ours(direction, port, err);
	int code = parked ? 0 : check_ours(r, e, err);
	if (code < 0)
		return code;
	struct rules_entry then = *e;
	then.parked = parked;
	pg_nft_begin(r->nft);
	rules_take(r, e);
	rules_put(r, &then);
	code = pg_nft_commit(r->nft, NULL, err);
	if (code == 0)
		e->parked = parked;
	return code;
}

/* The lease of some ports in a set, from now: removed and added, as adding alone keeps the old one.
 */
static void renew_ports(struct pg_rules *r, const char *set, const uint16_t *ports, size_t n)
{
	pg_nft_del_ports(r->nft, r->table, set, ports, n);
	pg_nft_add_ports(r->nft, r->table, set, ports, n, r->lease_ms);
}

/* The same where it may have run out already. */
static void renew_late(struct pg_rules *r, const char *set, uint16_t port)
{
	pg_nft_add_ports(r->nft, r->table, set, &port, 1, r->lease_ms);
	renew_ports(r, set, &port, 1);
}

/* -ENOENT: one of them has run out, or there is no table. */
static int renew_all(struct pg_rules *r, struct pg_err *err)
{
	pg_nft_begin(r->nft);
	for (unsigned path = 1; path < PG_PATH_END; path <<= 1) {
		uint16_t ports[PG_RULES_MAX];
		size_t n = 0;
		for (size_t i = 0; i < r->count; i++)
			if (rules_sets(&r->entries[i]) & path)
				ports[n++] = r->entries[i].port;
		renew_ports(r, pg_path_name(path), ports, n);
	}
	renew_ports(r, PG_SHIELD_SET, &r->listeners.port, 1);
	if (r->out.listeners.port)
		renew_ports(r, PG_SHIELD_OUTGOING_SET, &r->out.listeners.port, 1);
	return pg_nft_commit(r->nft, NULL, err);
}

static int renew_shields_late(struct pg_rules *r, struct pg_err *err)
{
	pg_nft_begin(r->nft);
	renew_late(r, PG_SHIELD_SET, r->listeners.port);
	if (r->out.listeners.port)
		renew_late(r, PG_SHIELD_OUTGOING_SET, r->out.listeners.port);
	return pg_nft_commit(r->nft, NULL, err);
}

/* Some lease has run out. With owned tables the port is still ours; else it is if nobody has taken
 * it meanwhile. */
static int rearm_all(struct pg_rules *r, struct pg_err *err)
{
	int result = renew_shields_late(r, err);
	for (size_t i = r->count; i-- > 0;) {
		struct rules_entry *e = &r->entries[i];
		struct pg_claim by;
		if (!e->asked && pg_claim_is_asked(&r->claims, e->direction, e->port, &by))
			continue; /* who asks has it: pg_rules_give_up() */
		int code = check_ours(r, e, err);
		if (code == 0) {
			pg_nft_begin(r->nft);
			rules_take(r, e);
			rules_put(r, e);
			code = pg_nft_commit(r->nft, NULL, err);
		}
		if (code < 0)
			result = code;
	}
	return result;
}

static bool has_table(struct pg_rules *r)
{
	struct pg_nft_seen_table seen;
	return pg_nft_read_table(r->nft, r->table, &seen, NULL) != -ENOENT;
}

/* Somebody has removed our table, and with it mostly those of the claims: all of it anew. */
static int restore(struct pg_rules *r, struct pg_err *err)
{
	int result = rules_make_table(r, err);
	if (result == 0 && r->out.listeners.port)
		result = pg_out_write(&r->out, r->nft, r->table, &r->nat, r->lease_ms, err);
	if (result < 0)
		return result;
	for (size_t i = r->count; i-- > 0;) {
		struct rules_entry *e = &r->entries[i];
		if (e->asked)
			pg_claim_unask(&r->claims, e->direction, e->port);
		e->asked = false;
		int code = rules_claim(r, e, NULL, err);
		if (code == -EBUSY)
			rules_forget(r, e);
		if (code < 0)
			result = code;
	}
	return result < 0 ? result : 1;
}

int pg_rules_renew(struct pg_rules *r, struct pg_err *err)
{
	int code = renew_all(r, err);
	if (code != -ENOENT)
		return code;
	return has_table(r) ? rearm_all(r, err) : restore(r, err);
}
