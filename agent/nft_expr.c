#include "agent/nft_expr.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>

/* One word may need several expressions; registers are used afresh by each word. */
enum {
	IFINDEX_LO = 1,
	TCP_DPORT_AT = 2,
	TCP_FLAGS_AT = 13,
	IPV4_SADDR_AT = 12,
	IPV4_DADDR_AT = 16,
	IPV6_SADDR_AT = 8,
	IPV6_DADDR_AT = 24
};

/* A rule being written. `failed` once memory has run out; every call is then harmless. */
struct writing {
	struct nftnl_rule *rule;
	bool failed;
};

/* A new expression of the rule, which owns it; NULL: out of memory. */
static struct nftnl_expr *add(struct writing *w, const char *name)
{
	struct nftnl_expr *e = w->failed ? NULL : nftnl_expr_alloc(name);
	if (e)
		nftnl_rule_add_expr(w->rule, e);
	else
		w->failed = true;
	return e;
}

static void put_u32(struct nftnl_expr *e, uint16_t attr, uint32_t value)
{
	if (e)
		nftnl_expr_set_u32(e, attr, value);
}

static void put_name(struct writing *w, struct nftnl_expr *e, uint16_t attr, const char *name)
{
	if (e && nftnl_expr_set_str(e, attr, name) < 0)
		w->failed = true;
}

static void put_data(struct writing *w, struct nftnl_expr *e, uint16_t attr, const void *data,
		     uint32_t n)
{
	if (e && nftnl_expr_set(e, attr, data, n) < 0)
		w->failed = true;
}

/* Register 1 <op> the `n` bytes of `data`, in the order in which the register was loaded. */
static void compare(struct writing *w, enum nft_cmp_ops op, const void *data, uint32_t n)
{
	struct nftnl_expr *e = add(w, "cmp");
	put_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	put_u32(e, NFTNL_EXPR_CMP_OP, (uint32_t)op);
	put_data(w, e, NFTNL_EXPR_CMP_DATA, data, n);
}

static void load_meta(struct writing *w, enum nft_meta_keys key)
{
	struct nftnl_expr *e = add(w, "meta");
	put_u32(e, NFTNL_EXPR_META_KEY, (uint32_t)key);
	put_u32(e, NFTNL_EXPR_META_DREG, NFT_REG_1);
}

/* A register = the `n` bytes of the packet that begin `offset` after `base`. */
static void load_packet_to(struct writing *w, uint32_t reg, enum nft_payload_bases base,
			   uint32_t offset, uint32_t n)
{
	struct nftnl_expr *e = add(w, "payload");
	put_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
	put_u32(e, NFTNL_EXPR_PAYLOAD_BASE, (uint32_t)base);
	put_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	put_u32(e, NFTNL_EXPR_PAYLOAD_LEN, n);
}

static void load_packet(struct writing *w, enum nft_payload_bases base, uint32_t offset, uint32_t n)
{
	load_packet_to(w, NFT_REG_1, base, offset, n);
}

/* Register 1 &= the `n` bytes of `mask`. */
static void mask_bits(struct writing *w, const void *mask, uint32_t n)
{
	static const uint8_t zero[4];
	assert(n <= sizeof(zero));
	struct nftnl_expr *e = add(w, "bitwise");
	put_u32(e, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	put_u32(e, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	put_u32(e, NFTNL_EXPR_BITWISE_LEN, n);
	put_data(w, e, NFTNL_EXPR_BITWISE_MASK, mask, n);
	put_data(w, e, NFTNL_EXPR_BITWISE_XOR, zero, n);
}

static void set_register(struct writing *w, uint32_t reg, const void *data, uint32_t n)
{
	struct nftnl_expr *e = add(w, "immediate");
	put_u32(e, NFTNL_EXPR_IMM_DREG, reg);
	put_data(w, e, NFTNL_EXPR_IMM_DATA, data, n);
}

static void meta_u8(struct writing *w, enum nft_meta_keys key, uint8_t value)
{
	load_meta(w, key);
	compare(w, NFT_CMP_EQ, &value, sizeof(value));
}

static void meta_u32(struct writing *w, enum nft_meta_keys key, enum nft_cmp_ops op, uint32_t value)
{
	load_meta(w, key);
	compare(w, op, &value, sizeof(value));
}

static void syn_only(struct writing *w)
{
	static const uint8_t fin_syn_rst_ack = 0x17, syn = 0x02;
	load_packet(w, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS_AT, 1);
	mask_bits(w, &fin_syn_rst_ack, 1);
	compare(w, NFT_CMP_EQ, &syn, 1);
}

static void dport(struct writing *w, uint32_t port)
{
	uint16_t port_be = htons((uint16_t)port);
	load_packet(w, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_DPORT_AT, sizeof(port_be));
	compare(w, NFT_CMP_EQ, &port_be, sizeof(port_be));
}

/* Register 1, and those after it, as far as the set's keys go. */
static void look_up(struct writing *w, const char *set)
{
	struct nftnl_expr *e = add(w, "lookup");
	put_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	put_name(w, e, NFTNL_EXPR_LOOKUP_SET, set);
}

static void dport_in(struct writing *w, const char *set)
{
	load_packet(w, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_DPORT_AT, sizeof(uint16_t));
	look_up(w, set);
}

/* The key of nft_flows.c: registers of 32 bits, of which the first is that which register 1 begins
 * with. */
static void flow_in(struct writing *w, uint32_t version, const char *set)
{
	assert(version == 4 || version == 6);
	load_meta(w, NFT_META_SKUID);
	struct nftnl_expr *e = add(w, "byteorder");
	put_u32(e, NFTNL_EXPR_BYTEORDER_SREG, NFT_REG_1);
	put_u32(e, NFTNL_EXPR_BYTEORDER_DREG, NFT_REG_1);
	put_u32(e, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	put_u32(e, NFTNL_EXPR_BYTEORDER_LEN, sizeof(uint32_t));
	put_u32(e, NFTNL_EXPR_BYTEORDER_SIZE, sizeof(uint32_t));
	load_packet_to(w, NFT_REG32_01, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_DPORT_AT,
		       sizeof(uint16_t));
	load_packet_to(w, NFT_REG32_02, NFT_PAYLOAD_NETWORK_HEADER,
		       version == 4 ? IPV4_DADDR_AT : IPV6_DADDR_AT, version == 4 ? 4 : 16);
	look_up(w, set);
}

/* The IP header's address at an offset, in a packet of that version. */
static void address(struct writing *w, uint32_t version, uint32_t four_at, const char *four,
		    uint32_t six_at, const char *six)
{
	uint8_t bytes[16];
	uint32_t n = version == 4 ? 4 : 16;
	assert(version == 4 || version == 6);
	if (inet_pton(version == 4 ? AF_INET : AF_INET6, version == 4 ? four : six, bytes) != 1)
		assert(0 && "an address");
	meta_u8(w, NFT_META_NFPROTO, version == 4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	load_packet(w, NFT_PAYLOAD_NETWORK_HEADER, version == 4 ? four_at : six_at, n);
	compare(w, NFT_CMP_EQ, bytes, n);
}

static void to_us(struct writing *w)
{
	const uint32_t local = RTN_LOCAL;
	struct nftnl_expr *e = add(w, "fib");
	put_u32(e, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
	put_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	put_u32(e, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
	compare(w, NFT_CMP_EQ, &local, sizeof(local));
}

static void redirected(struct writing *w)
{
	const uint32_t mask = IPS_DST_NAT, zero = 0;
	struct nftnl_expr *e = add(w, "ct");
	put_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_STATUS);
	put_u32(e, NFTNL_EXPR_CT_DREG, NFT_REG_1);
	mask_bits(w, &mask, sizeof(mask));
	compare(w, NFT_CMP_NEQ, &zero, sizeof(zero));
}

static void tproxy(struct writing *w, uint32_t family, const void *address, uint32_t n,
		   uint32_t port)
{
	uint16_t port_be = htons((uint16_t)port);
	set_register(w, NFT_REG_1, address, n);
	set_register(w, NFT_REG_2, &port_be, sizeof(port_be));
	struct nftnl_expr *e = add(w, "tproxy");
	put_u32(e, NFTNL_EXPR_TPROXY_FAMILY, family);
	put_u32(e, NFTNL_EXPR_TPROXY_REG_ADDR, NFT_REG_1);
	put_u32(e, NFTNL_EXPR_TPROXY_REG_PORT, NFT_REG_2);
}

static void redirect(struct writing *w, uint32_t port)
{
	uint16_t port_be = htons((uint16_t)port);
	set_register(w, NFT_REG_1, &port_be, sizeof(port_be));
	struct nftnl_expr *e = add(w, "redir");
	put_u32(e, NFTNL_EXPR_REDIR_REG_PROTO_MIN, NFT_REG_1);
}

static void verdict(struct writing *w, int value, const char *chain)
{
	struct nftnl_expr *e = add(w, "immediate");
	put_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	put_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)value);
	if (chain)
		put_name(w, e, NFTNL_EXPR_IMM_CHAIN, chain);
}

static void reset(struct writing *w)
{
	struct nftnl_expr *e = add(w, "reject");
	put_u32(e, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_TCP_RST);
	if (e)
		nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, 0);
}

static void write_match(struct writing *w, const struct pg_nft_expr *x)
{
	switch (x->word) {
	case PG_X_TCP:
		return meta_u8(w, NFT_META_L4PROTO, IPPROTO_TCP);
	case PG_X_IPV4:
		return meta_u8(w, NFT_META_NFPROTO, NFPROTO_IPV4);
	case PG_X_IPV6:
		return meta_u8(w, NFT_META_NFPROTO, NFPROTO_IPV6);
	case PG_X_SYN:
		return syn_only(w);
	case PG_X_DPORT:
		return dport(w, x->number);
	case PG_X_DPORT_IN:
		return dport_in(w, x->name);
	case PG_X_FLOW_IN:
		return flow_in(w, x->number, x->name);
	case PG_X_TO_LOOPBACK:
		return address(w, x->number, IPV4_DADDR_AT, "127.0.0.1", IPV6_DADDR_AT, "::1");
	case PG_X_FROM_ISTIO:
		return address(w, x->number, IPV4_SADDR_AT, "127.0.0.6", IPV6_SADDR_AT, "::6");
	case PG_X_TO_US:
		return to_us(w);
	case PG_X_IIF_LO:
		return meta_u32(w, NFT_META_IIF, NFT_CMP_EQ, IFINDEX_LO);
	case PG_X_IIF_NOT_LO:
		return meta_u32(w, NFT_META_IIF, NFT_CMP_NEQ, IFINDEX_LO);
	case PG_X_OIF_LO:
		return meta_u32(w, NFT_META_OIF, NFT_CMP_EQ, IFINDEX_LO);
	case PG_X_OIF_NOT_LO:
		return meta_u32(w, NFT_META_OIF, NFT_CMP_NEQ, IFINDEX_LO);
	case PG_X_MARK:
		return meta_u32(w, NFT_META_MARK, NFT_CMP_EQ, x->number);
	case PG_X_UID:
		return meta_u32(w, NFT_META_SKUID, NFT_CMP_EQ, x->number);
	case PG_X_REDIRECTED:
		return redirected(w);
	default:
		assert(0 && "a match");
	}
}

static void write_word(struct writing *w, const struct pg_nft_expr *x)
{
	const struct in_addr loopback = { .s_addr = htonl(INADDR_LOOPBACK) };
	switch (x->word) {
	case PG_X_TPROXY4:
		return tproxy(w, NFPROTO_IPV4, &loopback, sizeof(loopback), x->number);
	case PG_X_TPROXY6:
		return tproxy(w, NFPROTO_IPV6, &in6addr_loopback, sizeof(in6addr_loopback),
			      x->number);
	case PG_X_REDIRECT:
		return redirect(w, x->number);
	case PG_X_GOTO:
		return verdict(w, NFT_GOTO, x->name);
	case PG_X_RETURN:
		return verdict(w, NFT_RETURN, NULL);
	case PG_X_ACCEPT:
		return verdict(w, NF_ACCEPT, NULL);
	case PG_X_RESET:
		return reset(w);
	default:
		return write_match(w, x);
	}
}

static bool write_rule(struct writing *w, const char *table, const char *chain,
		       const struct pg_nft_expr *words)
{
	nftnl_rule_set_u32(w->rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	if (nftnl_rule_set_str(w->rule, NFTNL_RULE_TABLE, table) < 0 ||
	    nftnl_rule_set_str(w->rule, NFTNL_RULE_CHAIN, chain) < 0)
		return false;
	for (const struct pg_nft_expr *x = words; x->word != PG_X_END; x++)
		write_word(w, x);
	return !w->failed;
}

int pg_nft_rule_put(struct nlmsghdr *nlh, const char *table, const char *chain,
		    const struct pg_nft_expr *words)
{
	struct writing w = { .rule = nftnl_rule_alloc() };
	if (!w.rule)
		return -ENOMEM;
	bool ok = write_rule(&w, table, chain, words);
	if (ok)
		nftnl_rule_nlmsg_build_payload(nlh, w.rule);
	nftnl_rule_free(w.rule);
	return ok ? 0 : -ENOMEM;
}
