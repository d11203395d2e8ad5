/* NAT redirect: the first packet of a connection gets another destination, our listener, and
 * conntrack remembers. Works in front of and behind other NAT, so it is the way in mesh pods.
 *
 * The rules match SYN only: conntrack that has just been switched on takes connections in the
 * middle for new ones. They are constant, so they also are the anchor that keeps conntrack and the
 * NAT hooks, and thus the redirected connections, when a port has left its sets. */
#include "agent/mech.h"

#include <errno.h>
#include <netinet/in.h>
#include <linux/netfilter.h>

#include "agent/rules.h"

#ifndef SO_ORIGINAL_DST
#define SO_ORIGINAL_DST 80 /* linux/netfilter_ipv4.h and ip6_tables.h, which clash with netinet */
#endif

/* The kernel sorts NAT chains within the NAT hook; others use -100. At an equal priority the order
 * is that of registration, the latest first, hence a step aside on both sides. */
enum { PRIORITY_BEFORE = -101, PRIORITY_BEHIND = -99, PRIORITY_FILTER = 0 };

static unsigned nat_paths(const struct pg_pod_nat *nat)
{
	return PG_PATH_INBOUND | PG_PATH_LOCAL |
	       (nat->proxy_in ? PG_PATH_BEHIND | PG_PATH_PROXY : 0u);
}

static void nat_chain(struct pg_nft *n, const char *table, const char *name, unsigned hook,
		      int priority)
{
	pg_nft_add_chain(n, table,
			 &(struct pg_nft_chain){
				 .name = name, .type = "nat", .hook = hook, .priority = priority });
}

/* From outside; what the pod only forwards is not for us. */
static void write_incoming(struct pg_nft *n, const char *table, const char *chain, int priority,
			   enum pg_path path, uint16_t to)
{
	nat_chain(n, table, chain, NF_INET_PRE_ROUTING, priority);
	pg_nft_add_rule(n, table, chain,
			PG_RULE(PG_X(TCP), PG_X(SYN), PG_XS(DPORT_IN, pg_path_name(path)),
				PG_X(TO_US), PG_XN(REDIRECT, to)));
}

/* One of the proxy's connections that carry plaintext for the app. */
static void write_leg(struct pg_nft *n, const char *table, const struct pg_nft_expr *from,
		      uint32_t uid, uint16_t to)
{
	pg_nft_add_rule(n, table, "output",
			PG_RULE(*from, PG_XN(UID, uid), PG_X(TCP), PG_X(SYN),
				PG_XS(DPORT_IN, pg_path_name(PG_PATH_PROXY)), PG_XN(REDIRECT, to)));
}

/* Istio's proxy dials the app from an address of its own; what it dials otherwise, from the pod's
 * address, is the pod talking to itself by its service: that is encrypted, and its rules lead it to
 * the proxy's other side first. Linkerd's proxy has no such sign. */
static void write_proxies(struct pg_nft *n, const char *table, uint16_t to)
{
	static const struct pg_nft_expr four = PG_XN(FROM_ISTIO, 4), six = PG_XN(FROM_ISTIO, 6),
					any = PG_X(TCP);
	write_leg(n, table, &four, PG_UID_ISTIO, to);
	write_leg(n, table, &six, PG_UID_ISTIO, to);
	write_leg(n, table, &any, PG_UID_LINKERD, to);
	pg_nft_add_rule(n, table, "output", PG_RULE(PG_XN(UID, PG_UID_ISTIO), PG_X(RETURN)));
	pg_nft_add_rule(n, table, "output", PG_RULE(PG_XN(UID, PG_UID_LINKERD), PG_X(RETURN)));
}

/* From inside, to the pod itself: all that goes out by lo. What was sent to the proxy and could not
 * be served elsewhere goes to the proxy, as the mesh's rules would have led it. */
static void write_outgoing(struct pg_nft *n, const char *table, uint16_t proxy_in, uint16_t to)
{
	nat_chain(n, table, "output", NF_INET_LOCAL_OUT, PRIORITY_BEFORE);
	if (proxy_in)
		pg_nft_add_rule(n, table, "output",
				PG_RULE(PG_XN(MARK, PG_MARK_WIRE), PG_X(TCP), PG_X(SYN),
					PG_XN(REDIRECT, proxy_in)));
	pg_nft_add_rule(n, table, "output", PG_RULE(PG_XN(MARK, PG_MARK), PG_X(RETURN)));
	pg_nft_add_rule(n, table, "output", PG_RULE(PG_X(OIF_NOT_LO), PG_X(RETURN)));
	if (proxy_in)
		write_proxies(n, table, to);
	pg_nft_add_rule(n, table, "output",
			PG_RULE(PG_X(TCP), PG_X(SYN), PG_XS(DPORT_IN, pg_path_name(PG_PATH_LOCAL)),
				PG_XN(REDIRECT, to)));
}

/* The listener is on every address, because that is where redirected packets may arrive; who was
 * not redirected is turned away. Packets that conntrack does not know have no status to match, and
 * are turned away as well. */
static void write_shield(struct pg_nft *n, const char *table)
{
	pg_nft_add_chain(n, table,
			 &(struct pg_nft_chain){ .name = "input",
						 .type = "filter",
						 .hook = NF_INET_LOCAL_IN,
						 .priority = PRIORITY_FILTER });
	pg_nft_add_rule(
		n, table, "input",
		PG_RULE(PG_X(TCP), PG_XS(DPORT_IN, PG_SHIELD_SET), PG_X(REDIRECTED), PG_X(ACCEPT)));
	pg_nft_add_rule(n, table, "input",
			PG_RULE(PG_X(TCP), PG_XS(DPORT_IN, PG_SHIELD_SET), PG_X(RESET)));
}

static void nat_write(struct pg_nft *n, const char *table, const struct pg_pod_nat *nat,
		      const struct pg_listeners *to)
{
	write_incoming(n, table, "before", PRIORITY_BEFORE, PG_PATH_INBOUND, to->port);
	if (nat->proxy_in)
		write_incoming(n, table, "behind", PRIORITY_BEHIND, PG_PATH_BEHIND, to->port);
	write_outgoing(n, table, nat->proxy_in, to->port);
	write_shield(n, table);
}

static int nat_original(int fd, const struct sockaddr_storage *own, struct sockaddr_storage *out)
{
	socklen_t len = sizeof(*out);
	int level = own->ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	return getsockopt(fd, level, SO_ORIGINAL_DST, out, &len) < 0 ? -errno : 0;
}

const struct pg_mech pg_mech_nat = {
	.name = "nat",
	.paths = nat_paths,
	.write = nat_write,
	.original = nat_original,
};
