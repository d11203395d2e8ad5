/* The owner of everything that the agent changes in the pod's kernel: which mechanism takes the
 * connections, which ports are in its sets and for how long, and the claim on each of them.
 *
 * The table `podgraft-TAG` has constant chains and rules (mech_*.c) and a set for each way into the
 * pod. A redirect is its port in some of these sets, with the lease as the element's timeout, plus
 * the claim table `podgraft-tcp-PORT` that whoever comes second runs into. Both belong to our
 * socket, so the kernel removes them when we die. Kernels without owned tables leave them behind:
 * then a port whose lease has run out everywhere is free, whatever claim table still stands. */
#include "agent/rules.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/mech_listen.h"
#include "agent/nft_watch.h"
#include "agent/rules_impl.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"

const char *pg_path_name(enum pg_path path)
{
	switch (path) {
	case PG_PATH_INBOUND:
		return "inbound";
	case PG_PATH_BEHIND:
		return "behind";
	case PG_PATH_LOCAL:
		return "local";
	case PG_PATH_PROXY:
		return "proxy";
	case PG_PATH_OUTGOING:
		return "outgoing";
	case PG_PATH_PARKED:
		return "parked";
	case PG_PATH_PARKED_OUTGOING:
		return "outgoing-parked";
	default:
		assert(0 && "a path");
		return "";
	}
}

/* ---- opening ---- */

/* One attempt to make our table, with everything constant in it. */
static int write_table(struct pg_rules *r, bool replace, unsigned *refused, struct pg_err *err)
{
	unsigned paths = r->mech->paths(&r->nat) | PG_PATH_PARKED | PG_PATH_PARKED_OUTGOING;
	pg_nft_begin(r->nft);
	if (replace)
		pg_nft_del_table(r->nft, r->table, 0);
	pg_nft_add_table(r->nft, r->table, PG_NFT_EXCLUSIVE | (r->claims.owned ? PG_NFT_OWNED : 0u),
			 NULL);
	for (unsigned path = 1; path < PG_PATH_END; path <<= 1)
		if (paths & path)
			pg_nft_add_ports_set(r->nft, r->table, pg_path_name(path));
	pg_nft_add_ports_set(r->nft, r->table, PG_SHIELD_SET);
	pg_nft_add_ports(r->nft, r->table, PG_SHIELD_SET, &r->listeners.port, 1, r->lease_ms);
	r->mech->write(r->nft, r->table, &r->nat, &r->listeners);
	return pg_nft_commit(r->nft, refused, err);
}

int rules_make_table(struct pg_rules *r, struct pg_err *err)
{
	bool replace = false;
	for (;;) {
		unsigned refused = PG_NFT_ALL;
		int code = write_table(r, replace, &refused, err);
		bool at_table = code < 0 && refused == (replace ? 2 : 1);
		if (at_table && r->claims.owned && (code == -EINVAL || code == -EOPNOTSUPP))
			r->claims.owned = false;
		else if (at_table && !replace && code == -EEXIST)
			replace = true;
		else if (at_table && code == -EPERM)
			return pg_fail(err, -EBUSY, "the table %s belongs to another agent.",
				       r->table);
		else
			return code;
	}
}

static int set_up(struct pg_rules *r, const struct pg_mech *mech, struct pg_err *err)
{
	r->mech = mech;
	int code = pg_mech_listen(mech->transparent ? PG_LISTEN_TRANSPARENT : PG_LISTEN_EVERYWHERE,
				  &r->listeners, err);
	if (code < 0)
		return code;
	code = rules_make_table(r, err);
	if (code < 0)
		pg_mech_unlisten(&r->listeners);
	return code;
}

/* Chooses the mechanism: that with fewer traces where the pod has no NAT, if the node has it. */
static int choose(struct pg_rules *r, enum pg_mechanism force, struct pg_err *err)
{
	int code = pg_pod_nat_detect(r->nft, &r->nat, err);
	if (code < 0)
		return code;
	if (force == PG_MECH_TPROXY || (force == PG_MECH_AUTO && !r->nat.present)) {
		code = set_up(r, &pg_mech_tproxy, err);
		if (code != -ENOENT || force == PG_MECH_TPROXY)
			return code;
	}
	code = set_up(r, &pg_mech_nat, err);
	if (code == -ENOENT)
		pg_hint(err, PG_TARGET,
			"the node's kernel lacks nf_tables modules for tproxy, NAT or reject");
	return code;
}

int pg_rules_open(const struct pg_rules_config *config, struct pg_rules **out, struct pg_err *err)
{
	struct pg_rules *r = pg_calloc(1, sizeof(*r));
	if (!r)
		return pg_fail(err, -ENOMEM, "open the rule set");
	r->claims.owned = !config->no_owner_flag;
	r->lease_ms = config->lease_ms ? config->lease_ms : PG_LEASE_MS;
	r->listeners = r->out.listeners = (struct pg_listeners){ .fds = { -1, -1 } };
	snprintf(r->table, sizeof(r->table), PG_TABLE_PREFIX "%s", config->owner_tag);
	r->claims.table = r->table;
	r->watch = -1;
	int code = pg_nft_open(&r->nft, err);
	r->claims.nft = r->nft;
	if (code == 0)
		code = choose(r, config->force, err);
	if (code == 0) {
		code = pg_nft_watch_open(&r->watch, err);
		if (code < 0)
			pg_mech_unlisten(&r->listeners);
	}
	if (code < 0) {
		pg_nft_close(r->nft);
		free(r);
		return code;
	}
	*out = r;
	return 0;
}

static void drop_table(struct pg_rules *r, const char *name)
{
	pg_nft_begin(r->nft);
	pg_nft_del_table(r->nft, name, 0);
	pg_nft_commit(r->nft, NULL, NULL); /* one that is gone already needs no removal */
}

/* Without owned tables another agent may have taken a port, and its claim, whose lease had run out.
 */
static bool has_claim(const struct pg_rules *r, const struct rules_entry *e)
{
	return r->claims.owned || !pg_claim_is_live(&r->claims, e->direction, e->port);
}

void pg_rules_close(struct pg_rules *r)
{
	if (!r)
		return;
	drop_table(r, r->table);
	while (r->asked_count > 0)
		pg_rules_take_no_more(r, r->asked[0].direction, r->asked[0].port);
	for (size_t i = 0; i < r->count; i++) {
		char name[PG_CLAIM_NAME];
		rules_claim_name(&r->entries[i], name);
		if (has_claim(r, &r->entries[i]))
			drop_table(r, name);
		pg_out_scope_fini(&r->entries[i].scope);
	}
	pg_nft_close(r->nft);
	close(r->watch);
	pg_mech_unlisten(&r->listeners);
	pg_out_close(&r->out);
	free(r);
}

const char *pg_direction_word(enum pg_direction direction)
{
	return direction == PG_OUTGOING ? "outgoing " : "";
}

/* Whether the client is in this pod, or its mesh's proxy: Istio's dials the app from 127.0.0.6 or
 * ::6. */
static bool is_inside(const struct sockaddr_storage *peer, const struct sockaddr_storage *local)
{
	static const uint8_t one[16] = { [15] = 1 }, six[16] = { [15] = 6 };
	uint8_t from[16], to[16];
	uint16_t port;
	int n = pg_addr_bytes(peer, from, &port);
	if (n == pg_addr_bytes(local, to, &port) && memcmp(from, to, (size_t)n) == 0)
		return true;
	if (n == 4)
		return from[0] == 127;
	return memcmp(from, one, 16) == 0 || memcmp(from, six, 16) == 0;
}

uint32_t pg_rules_mark_wire(const struct pg_rules *r, const struct sockaddr_storage *peer,
			    const struct sockaddr_storage *local)
{
	return r->nat.proxy_in && !is_inside(peer, local) ? PG_MARK_WIRE : PG_MARK;
}

const char *pg_rules_mechanism(const struct pg_rules *r, enum pg_direction direction)
{
	return direction == PG_OUTGOING ? pg_mech_nat.name : r->mech->name;
}

void pg_rules_listeners(const struct pg_rules *r, int fds_out[PG_LISTENERS])
{
	memcpy(fds_out, r->listeners.fds, sizeof(r->listeners.fds));
	memcpy(fds_out + PG_LISTENERS / 2, r->out.listeners.fds, sizeof(r->out.listeners.fds));
}

/* ---- what the transactions are made of ---- */

struct rules_entry *rules_find(struct pg_rules *r, enum pg_direction direction, uint16_t port)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->entries[i].direction == direction && r->entries[i].port == port)
			return &r->entries[i];
	return NULL;
}

int rules_not_ours(enum pg_direction direction, uint16_t port, struct pg_err *err)
{
	return pg_fail(err, -ENOENT, "this agent does not redirect %sport %u.",
		       pg_direction_word(direction), port);
}

void rules_forget(struct pg_rules *r, struct rules_entry *e)
{
	pg_out_scope_fini(&e->scope);
	*e = r->entries[--r->count];
}

unsigned rules_sets(const struct rules_entry *e)
{
	return !e->parked                    ? e->paths
	       : e->direction == PG_OUTGOING ? PG_PATH_PARKED_OUTGOING
					     : PG_PATH_PARKED;
}

void rules_put(struct pg_rules *r, const struct rules_entry *e)
{
	for (unsigned path = 1; path < PG_PATH_END; path <<= 1)
		if (rules_sets(e) & path)
			pg_nft_add_ports(r->nft, r->table, pg_path_name(path), &e->port, 1,
					 r->lease_ms);
}

void rules_put_new(struct pg_rules *r, const struct rules_entry *e)
{
	pg_out_put(r->nft, r->table, e->port, &e->scope);
	rules_put(r, e);
}

/* A port whose lease has run out is not in its sets any more, which would refuse its removal, so it
 * is put there before. Nobody sees that, as the transaction is one. */
void rules_take(struct pg_rules *r, const struct rules_entry *e)
{
	rules_put(r, e);
	for (unsigned path = 1; path < PG_PATH_END; path <<= 1)
		if (rules_sets(e) & path)
			pg_nft_del_ports(r->nft, r->table, pg_path_name(path), &e->port, 1);
}

/* The ways on which the rule takes connections, as far as the pod has them. */
static unsigned paths_of(const struct pg_rules *r, const struct pg_rule *rule)
{
	unsigned paths = PG_PATH_INBOUND;
	if (rule->direction == PG_OUTGOING)
		return PG_PATH_OUTGOING;
	if (r->nat.proxy_in && !rule->wire)
		paths = PG_PATH_BEHIND | PG_PATH_PROXY;
	if (!rule->no_local)
		paths |= PG_PATH_LOCAL;
	return paths & r->mech->paths(&r->nat);
}

/* The redirect's half of a transaction that claims its port. */
struct claimed {
	struct pg_rules *r;
	const struct rules_entry *e;
};

static void put_claimed(void *ctx)
{
	const struct claimed *c = ctx;
	rules_put_new(c->r, c->e);
}

int rules_claim(struct pg_rules *r, const struct rules_entry *e, struct pg_claim *claim_out,
		struct pg_err *err)
{
	struct claimed ctx = { r, e };
	struct pg_claim_wish wish = { .direction = e->direction,
				      .port = e->port,
				      .holder = e->holder,
				      .asked = rules_has_asked(r, e->direction, e->port),
				      .redirect = put_claimed,
				      .ctx = &ctx };
	return pg_claim_port(&r->claims, &wish, claim_out, err);
}

/* ---- rules ---- */

/* The part of the table that outgoing redirects need, and the scope of this one. */
static int prepare_outgoing(struct pg_rules *r, const struct pg_rule *rule, struct rules_entry *e,
			    struct pg_err *err)
{
	int code = 0;
	if (r->nat.proxy_in && rule->only_uid &&
	    (rule->uid == PG_UID_ISTIO || rule->uid == PG_UID_LINKERD)) {
		pg_fail(err, -EINVAL, "uid %u is the mesh's proxy, which is left alone.",
			rule->uid);
		return pg_hint(err, PG_USER,
			       "name the app's uid: its connections are taken before the proxy");
	}
	if (r->out.listeners.port == 0)
		code = pg_out_open(&r->out, r->nft, r->table, &r->nat, r->lease_ms, err);
	if (code < 0)
		return code;
	code = pg_out_scope_of(rule, &e->scope);
	return code < 0 ? pg_fail(err, code, "redirect outgoing port %u", rule->port) : 0;
}

int pg_rules_add(struct pg_rules *r, const struct pg_rule *rule, struct pg_claim *claim_out,
		 struct pg_err *err)
{
	struct rules_entry e = { .direction = rule->direction,
				 .port = rule->port,
				 .paths = paths_of(r, rule) };
	snprintf(e.holder, sizeof(e.holder), "%s", rule->holder);
	if (rules_find(r, e.direction, e.port)) {
		if (claim_out) /* whatever it can tell */
			pg_claim_read(&r->claims, e.direction, e.port, claim_out);
		return pg_fail(err, -EEXIST, "this agent redirects %sport %u already.",
			       pg_direction_word(e.direction), e.port);
	}
	if (r->count == PG_RULES_MAX)
		return pg_fail(err, -ENOSPC, "this agent has %d redirects already.", PG_RULES_MAX);
	if (e.direction == PG_INCOMING &&
	    (e.port == r->listeners.port || e.port == r->out.listeners.port)) {
		pg_fail(err, -EADDRINUSE, "port %u is the agent's own by chance.", e.port);
		return pg_hint(err, PG_TARGET, "try again with a new agent");
	}
	int code = e.direction == PG_OUTGOING ? prepare_outgoing(r, rule, &e, err) : 0;
	if (code == 0)
		code = rules_claim(r, &e, claim_out, err);
	if (code == 0)
		rules_forget_asking(r, e.direction, e.port);
	else if (code == -EBUSY && rule->take_over)
		code = rules_take_over(r, &e, claim_out, err);
	if (code == 0)
		r->entries[r->count++] = e;
	else
		pg_out_scope_fini(&e.scope);
	return code;
}

int pg_rules_remove(struct pg_rules *r, enum pg_direction direction, uint16_t port,
		    struct pg_err *err)
{
	char name[PG_CLAIM_NAME];
	struct rules_entry *e = rules_find(r, direction, port);
	if (!e)
		return rules_not_ours(direction, port, err);
	rules_claim_name(e, name);
	bool is_claimed = has_claim(r, e);
	pg_nft_begin(r->nft);
	rules_take(r, e);
	pg_out_take(r->nft, r->table, port, &e->scope);
	if (is_claimed)
		pg_nft_del_table(r->nft, name, 0);
	int code = pg_nft_commit(r->nft, NULL, err);
	if (code < 0 && code != -ENOENT) /* that: somebody has removed the tables already */
		return code;
	rules_forget(r, e);
	return 0;
}

int pg_rules_original(const struct pg_rules *r, int fd, struct sockaddr_storage *out,
		      enum pg_direction *direction_out)
{
	struct sockaddr_storage own = { 0 }, to = { 0 };
	socklen_t len = sizeof(own);
	uint8_t bytes[16];
	uint16_t port;
	if (getsockname(fd, (struct sockaddr *)&own, &len) < 0)
		return -errno;
	bool outgoing = pg_addr_bytes(&own, bytes, &port) > 0 && port == r->out.listeners.port;
	const struct pg_mech *mech = outgoing ? &pg_mech_nat : r->mech;
	uint16_t ours = outgoing ? r->out.listeners.port : r->listeners.port;
	int code = mech->original(fd, &own, &to);
	if (code < 0)
		return code;
	if (pg_addr_bytes(&to, bytes, &port) == 0 || port == ours)
		return -ENOENT;
	*out = to;
	*direction_out = outgoing ? PG_OUTGOING : PG_INCOMING;
	return 0;
}
