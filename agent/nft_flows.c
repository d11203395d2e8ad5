#include "agent/nft_flows.h"

#include <assert.h>
#include <string.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "agent/nft_message.h"
#include "proto/base/auto.h"
#include "proto/base/num.h"

#ifndef NFT_SET_CONCAT
#define NFT_SET_CONCAT 0x80
#endif

/* nft's own numbers, which only listings read: a concatenation has 6 bits for each. */
enum { NFT_TYPE_UID = 24, NFT_TYPE_SERVICE = 13, NFT_TYPE_IPV4 = 7, NFT_TYPE_IPV6 = 8 };

/* A key: uid and port in network byte order, the address; each begins on four bytes. */
enum { UID_AT = 0, PORT_AT = 4, ADDRESS_AT = 8, KEY_MAX = ADDRESS_AT + 16 };

/* A set of that name, to be freed; NULL: out of memory. */
static struct nftnl_set *named_set(const char *table, const char *set)
{
	struct nftnl_set *s = nftnl_set_alloc();
	if (!s)
		return NULL;
	if (nftnl_set_set_str(s, NFTNL_SET_TABLE, table) == 0 &&
	    nftnl_set_set_str(s, NFTNL_SET_NAME, set) == 0)
		return s;
	nftnl_set_free(s);
	return NULL;
}

void pg_nft_add_flows_set(struct pg_nft *n, const char *table, const char *set, uint8_t version)
{
	const uint8_t address = version == 4 ? 4 : 16;
	const uint8_t fields[] = { sizeof(uint32_t), sizeof(uint16_t), address };
	uint32_t type = version == 4 ? NFT_TYPE_IPV4 : NFT_TYPE_IPV6;
	struct nftnl_set *s = named_set(table, set);
	struct nlmsghdr *nlh = NULL;
	if (s && nftnl_set_set_data(s, NFTNL_SET_DESC_CONCAT, fields, sizeof(fields)) == 0) {
		nftnl_set_set_u32(s, NFTNL_SET_FLAGS, NFT_SET_INTERVAL | NFT_SET_CONCAT);
		nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE,
				  NFT_TYPE_UID << 12 | NFT_TYPE_SERVICE << 6 | type);
		nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, ADDRESS_AT + address);
		nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_INET);
		nftnl_set_set_u32(s, NFTNL_SET_ID, n->seq); /* must be there, is not used */
		nlh = nft_message(n, NFT_MSG_NEWSET, NLM_F_CREATE);
	} else {
		nft_message_failed(n);
	}
	if (nlh) {
		nftnl_set_nlmsg_build_payload(nlh, s);
		nft_message_done(n, nlh);
	}
	if (s)
		nftnl_set_free(s);
}

/* The key of a flow's first or last connection. Returns its bytes. */
static uint32_t fill_key(uint8_t key[KEY_MAX], uint32_t uid, uint16_t port,
			 const uint8_t address[16], size_t n)
{
	memset(key, 0, KEY_MAX);
	pg_put_be32(key + UID_AT, uid);
	pg_put_be16(key + PORT_AT, port);
	memcpy(key + ADDRESS_AT, address, n);
	return (uint32_t)(ADDRESS_AT + n);
}

/* Adds the flow as an element of `s`. */
static bool add_element(struct nftnl_set *s, const struct pg_nft_flow *flow)
{
	uint8_t first[16], last[16], from[KEY_MAX], to[KEY_MAX];
	size_t bytes = pg_network_bytes(flow->to);
	pg_network_range(flow->to, first, last);
	uint32_t n = fill_key(from, flow->uid_first, flow->port, first, bytes);
	fill_key(to, flow->uid_last, flow->port, last, bytes);
	struct nftnl_set_elem *e = nftnl_set_elem_alloc();
	if (!e)
		return false;
	if (nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, from, n) < 0 ||
	    nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY_END, to, n) < 0) {
		nftnl_set_elem_free(e);
		return false;
	}
	nftnl_set_elem_add(s, e); /* which owns it now */
	return true;
}

static void put_flow(struct pg_nft *n, uint16_t type, const char *table, const char *set,
		     const struct pg_nft_flow *flow)
{
	struct nftnl_set *s = named_set(table, set);
	struct nlmsghdr *nlh = NULL;
	if (s && add_element(s, flow))
		nlh = nft_message(n, type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0);
	else
		nft_message_failed(n);
	if (nlh) {
		nftnl_set_elems_nlmsg_build_payload(nlh, s);
		nft_message_done(n, nlh);
	}
	if (s)
		nftnl_set_free(s);
}

void pg_nft_add_flow(struct pg_nft *n, const char *table, const char *set,
		     const struct pg_nft_flow *flow)
{
	put_flow(n, NFT_MSG_NEWSETELEM, table, set, flow);
}

void pg_nft_del_flow(struct pg_nft *n, const char *table, const char *set,
		     const struct pg_nft_flow *flow)
{
	put_flow(n, NFT_MSG_DELSETELEM, table, set, flow);
}
