/* tproxy: the packet is handed to our loopback listener as it is. Nothing is rewritten and nothing
 * tracked, so the accepted socket's own address is the original destination, connections that
 * exist are found by the kernel before our listener is, and without a listener the packet goes to
 * the app. It cannot be combined with NAT of the pod's own. */
#include "agent/mech.h"

#include <linux/netfilter.h>

#include "agent/rules.h"

/* After conntrack (-200), before NAT (-100), as is usual for tproxy. */
enum { PRIORITY_TPROXY = -150, PRIORITY_FILTER = 0 };

static unsigned tproxy_paths(const struct pg_pod_nat *nat)
{
	(void)nat;
	return PG_PATH_INBOUND | PG_PATH_LOCAL;
}

/* Matches the port, not only its SYN: with SYN cookies the kernel looks for the listener again when
 * the handshake ends. */
static void write_ways(struct pg_nft *n, const char *table)
{
	pg_nft_add_rule(n, table, "prerouting", PG_RULE(PG_XN(MARK, PG_MARK), PG_X(RETURN)));
	pg_nft_add_rule(n, table, "prerouting",
			PG_RULE(PG_X(TCP), PG_X(IIF_LO),
				PG_XS(DPORT_IN, pg_path_name(PG_PATH_LOCAL)), PG_XS(GOTO, "take")));
	pg_nft_add_rule(n, table, "prerouting",
			PG_RULE(PG_X(TCP), PG_X(IIF_NOT_LO),
				PG_XS(DPORT_IN, pg_path_name(PG_PATH_INBOUND)), PG_X(TO_US),
				PG_XS(GOTO, "take")));
}

/* Nobody dials the listeners themselves; redirected connections keep their own destination. */
static void write_shield(struct pg_nft *n, const char *table, const struct pg_listeners *to)
{
	for (unsigned i = 0; i < 2; i++)
		if (to->fds[i] >= 0)
			pg_nft_add_rule(n, table, "input",
					PG_RULE(PG_XN(TO_LOOPBACK, i ? 6 : 4), PG_X(TCP),
						PG_XS(DPORT_IN, PG_SHIELD_SET), PG_X(RESET)));
}

static void tproxy_write(struct pg_nft *n, const char *table, const struct pg_pod_nat *nat,
			 const struct pg_listeners *to)
{
	(void)nat;
	pg_nft_add_chain(n, table, &(struct pg_nft_chain){ .name = "take" });
	pg_nft_add_chain(n, table,
			 &(struct pg_nft_chain){ .name = "prerouting",
						 .type = "filter",
						 .hook = NF_INET_PRE_ROUTING,
						 .priority = PRIORITY_TPROXY });
	pg_nft_add_chain(n, table,
			 &(struct pg_nft_chain){ .name = "input",
						 .type = "filter",
						 .hook = NF_INET_LOCAL_IN,
						 .priority = PRIORITY_FILTER });
	if (to->fds[0] >= 0)
		pg_nft_add_rule(n, table, "take",
				PG_RULE(PG_X(IPV4), PG_X(TCP), PG_XN(TPROXY4, to->port)));
	if (to->fds[1] >= 0)
		pg_nft_add_rule(n, table, "take",
				PG_RULE(PG_X(IPV6), PG_X(TCP), PG_XN(TPROXY6, to->port)));
	write_ways(n, table);
	write_shield(n, table, to);
}

static int tproxy_original(int fd, const struct sockaddr_storage *own, struct sockaddr_storage *out)
{
	(void)fd;
	*out = *own;
	return 0;
}

const struct pg_mech pg_mech_tproxy = {
	.name = "tproxy",
	.transparent = true,
	.paths = tproxy_paths,
	.write = tproxy_write,
	.original = tproxy_original,
};
