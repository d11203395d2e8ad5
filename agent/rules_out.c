/* Outgoing connections are turned by a NAT redirect before any NAT of the pod's own sees them, in a
 * mesh pod thus before its proxy does: what arrives is what the app has written. The kernel turns
 * them to loopback, so the listeners are there and nowhere else.
 *
 * The rules match SYN only, and are constant: the anchor of connections whose redirect has gone. */
#include "agent/rules_out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>

#include "agent/mech_listen.h"
#include "agent/nft_flows.h"
#include "proto/base/mem.h"

enum { PRIORITY_BEFORE = -101, PRIORITY_FILTER = 0 };

static const struct pg_network everybody[] = { { .version = 4 }, { .version = 6 } };

static const char *flows_set(uint8_t version)
{
	return version == 4 ? "outgoing4" : "outgoing6";
}

/* What is never taken: the agent's own connections, those to the pod itself, the mesh's. */
static void write_exempt(struct pg_nft *n, const char *table, bool mesh)
{
	pg_nft_add_rule(n, table, "outgoing", PG_RULE(PG_XN(MARK, PG_MARK), PG_X(RETURN)));
	pg_nft_add_rule(n, table, "outgoing", PG_RULE(PG_X(OIF_LO), PG_X(RETURN)));
	if (!mesh)
		return;
	pg_nft_add_rule(n, table, "outgoing", PG_RULE(PG_XN(UID, PG_UID_ISTIO), PG_X(RETURN)));
	pg_nft_add_rule(n, table, "outgoing", PG_RULE(PG_XN(UID, PG_UID_LINKERD), PG_X(RETURN)));
}

static void write_taking(struct pg_nft *n, const char *table, uint8_t version, uint16_t to)
{
	const struct pg_nft_expr four = PG_X(IPV4), six = PG_X(IPV6);
	pg_nft_add_flows_set(n, table, flows_set(version), version);
	pg_nft_add_rule(n, table, "outgoing",
			PG_RULE(version == 4 ? four : six, PG_X(TCP), PG_X(SYN),
				PG_XS(DPORT_IN, pg_path_name(PG_PATH_OUTGOING)),
				PG_XNS(FLOW_IN, version, flows_set(version)), PG_XN(REDIRECT, to)));
}

/* Nobody dials the listeners themselves. */
static void write_shield(struct pg_nft *n, const char *table, uint16_t to, uint32_t lease_ms)
{
	pg_nft_add_ports_set(n, table, PG_SHIELD_OUTGOING_SET);
	pg_nft_add_ports(n, table, PG_SHIELD_OUTGOING_SET, &to, 1, lease_ms);
	pg_nft_add_chain(n, table,
			 &(struct pg_nft_chain){ .name = "outgoing-shield",
						 .type = "filter",
						 .hook = NF_INET_LOCAL_IN,
						 .priority = PRIORITY_FILTER });
	pg_nft_add_rule(n, table, "outgoing-shield",
			PG_RULE(PG_X(TCP), PG_XS(DPORT_IN, PG_SHIELD_OUTGOING_SET),
				PG_X(REDIRECTED), PG_X(ACCEPT)));
	pg_nft_add_rule(n, table, "outgoing-shield",
			PG_RULE(PG_X(TCP), PG_XS(DPORT_IN, PG_SHIELD_OUTGOING_SET), PG_X(RESET)));
}

int pg_out_write(const struct pg_out *o, struct pg_nft *n, const char *table,
		 const struct pg_pod_nat *nat, uint32_t lease_ms, struct pg_err *err)
{
	const struct pg_listeners *to = &o->listeners;
	pg_nft_begin(n);
	pg_nft_add_ports_set(n, table, pg_path_name(PG_PATH_OUTGOING));
	pg_nft_add_chain(n, table,
			 &(struct pg_nft_chain){ .name = "outgoing",
						 .type = "nat",
						 .hook = NF_INET_LOCAL_OUT,
						 .priority = PRIORITY_BEFORE });
	write_exempt(n, table, nat->proxy_in != 0);
	for (uint8_t version = 4; version <= 6; version += 2) {
		if (to->fds[version == 6] >= 0)
			write_taking(n, table, version, to->port);
		else /* what is put there never matches */
			pg_nft_add_flows_set(n, table, flows_set(version), version);
	}
	write_shield(n, table, to->port, lease_ms);
	return pg_nft_commit(n, NULL, err);
}

int pg_out_open(struct pg_out *o, struct pg_nft *n, const char *table, const struct pg_pod_nat *nat,
		uint32_t lease_ms, struct pg_err *err)
{
	int code = pg_mech_listen(PG_LISTEN_LOOPBACK, &o->listeners, err);
	if (code < 0)
		return code;
	code = pg_out_write(o, n, table, nat, lease_ms, err);
	if (code < 0)
		pg_out_close(o);
	if (code == -EINVAL || code == -EOPNOTSUPP || code == -ENOENT)
		pg_hint(err, PG_TARGET,
			"outgoing connections need Linux 5.6 on the node, with nf_tables' NAT");
	return code;
}

void pg_out_close(struct pg_out *o)
{
	pg_mech_unlisten(&o->listeners);
}

int pg_out_scope_of(const struct pg_rule *rule, struct pg_out_scope *out)
{
	const struct pg_network *to = rule->to_count > 0 ? rule->to : everybody;
	size_t count = rule->to_count > 0 ? rule->to_count : PG_LEN(everybody);
	struct pg_out_scope s = { .uid_first = rule->only_uid ? rule->uid : 0,
				  .uid_last = rule->only_uid ? rule->uid : UINT32_MAX,
				  .to = pg_calloc(count, sizeof(*s.to)) };
	if (!s.to)
		return -ENOMEM;
	memcpy(s.to, to, count * sizeof(*to));
	s.count = pg_networks_tidy(s.to, count);
	*out = s;
	return 0;
}

void pg_out_scope_fini(struct pg_out_scope *s)
{
	free(s->to);
	*s = (struct pg_out_scope){ .count = 0 };
}

static struct pg_nft_flow flow_of(uint16_t port, const struct pg_out_scope *s, size_t i)
{
	return (struct pg_nft_flow){ s->uid_first, s->uid_last, port, &s->to[i] };
}

void pg_out_put(struct pg_nft *n, const char *table, uint16_t port, const struct pg_out_scope *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct pg_nft_flow flow = flow_of(port, s, i);
		pg_nft_add_flow(n, table, flows_set(s->to[i].version), &flow);
	}
}

void pg_out_take(struct pg_nft *n, const char *table, uint16_t port, const struct pg_out_scope *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct pg_nft_flow flow = flow_of(port, s, i);
		pg_nft_del_flow(n, table, flows_set(s->to[i].version), &flow);
	}
}
