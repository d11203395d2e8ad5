#include "agent/nft_table.h"

#include <assert.h>
#include <string.h>
#include <arpa/inet.h>
#include <libnftnl/chain.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include "agent/nft_message.h"
#include "proto/base/auto.h"

#ifndef NFT_TABLE_F_OWNER
#define NFT_TABLE_F_OWNER 0x2
#endif

/* nft's own numbers, which only listings read. */
enum { NFT_TYPE_INET_SERVICE = 13, NFT_BYTEORDER_BIG_ENDIAN = 2, PORTS_PER_MESSAGE = 64 };

/* Comments are a TLV of type 0 with a NUL-terminated text, as nft writes and reads them. */
static bool set_comment(struct nftnl_table *t, const char *comment)
{
	struct nftnl_udata_buf *b = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);
	bool ok = b && nftnl_udata_put_strz(b, NFTNL_UDATA_TABLE_COMMENT, comment) &&
		  nftnl_table_set_data(t, NFTNL_TABLE_USERDATA, nftnl_udata_buf_data(b),
				       nftnl_udata_buf_len(b)) == 0;
	if (b)
		nftnl_udata_buf_free(b);
	return ok;
}

static void put_table(struct pg_nft *n, uint16_t type, uint16_t flags, struct nftnl_table *t)
{
	struct nlmsghdr *nlh = nft_message(n, type, flags);
	if (!nlh)
		return;
	nftnl_table_nlmsg_build_payload(nlh, t);
	nft_message_done(n, nlh);
}

void pg_nft_add_table(struct pg_nft *n, const char *table, unsigned flags, const char *comment)
{
	struct nftnl_table *t = nftnl_table_alloc();
	if (t && nftnl_table_set_str(t, NFTNL_TABLE_NAME, table) == 0 &&
	    (!comment || set_comment(t, comment))) {
		if (flags & PG_NFT_OWNED)
			nftnl_table_set_u32(t, NFTNL_TABLE_FLAGS, NFT_TABLE_F_OWNER);
		put_table(n, NFT_MSG_NEWTABLE,
			  NLM_F_CREATE | (flags & PG_NFT_EXCLUSIVE ? NLM_F_EXCL : 0), t);
	} else {
		nft_message_failed(n);
	}
	if (t)
		nftnl_table_free(t);
}

void pg_nft_del_table(struct pg_nft *n, const char *table, uint64_t handle)
{
	struct nftnl_table *t = nftnl_table_alloc();
	if (t && handle)
		nftnl_table_set_u64(t, NFTNL_TABLE_HANDLE, handle);
	if (t && (handle || nftnl_table_set_str(t, NFTNL_TABLE_NAME, table) == 0))
		put_table(n, NFT_MSG_DELTABLE, 0, t);
	else
		nft_message_failed(n);
	if (t)
		nftnl_table_free(t);
}

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

/* Tells nft that the keys are big-endian, else it lists port 8080 as 36895. */
static bool set_byte_order(struct nftnl_set *s)
{
	struct nftnl_udata_buf *b = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);
	bool ok = b &&
		  nftnl_udata_put_u32(b, NFTNL_UDATA_SET_KEYBYTEORDER, NFT_BYTEORDER_BIG_ENDIAN) &&
		  nftnl_set_set_data(s, NFTNL_SET_USERDATA, nftnl_udata_buf_data(b),
				     nftnl_udata_buf_len(b)) == 0;
	if (b)
		nftnl_udata_buf_free(b);
	return ok;
}

void pg_nft_add_ports_set(struct pg_nft *n, const char *table, const char *set)
{
	struct nftnl_set *s = named_set(table, set);
	struct nlmsghdr *nlh = NULL;
	if (s && set_byte_order(s)) {
		nftnl_set_set_u32(s, NFTNL_SET_FLAGS, NFT_SET_TIMEOUT);
		nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, NFT_TYPE_INET_SERVICE);
		nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, sizeof(uint16_t));
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

/* `lease_ms` 0: none is given, for removal. */
static bool add_element(struct nftnl_set *s, uint16_t port, uint32_t lease_ms)
{
	uint16_t port_be = htons(port);
	struct nftnl_set_elem *e = nftnl_set_elem_alloc();
	if (!e)
		return false;
	if (nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, &port_be, sizeof(port_be)) < 0) {
		nftnl_set_elem_free(e);
		return false;
	}
	if (lease_ms)
		nftnl_set_elem_set_u64(e, NFTNL_SET_ELEM_TIMEOUT, lease_ms);
	nftnl_set_elem_add(s, e); /* which owns it now */
	return true;
}

/* One message for at most PORTS_PER_MESSAGE ports. */
static void put_ports(struct pg_nft *n, uint16_t type, const char *table, const char *set,
		      const uint16_t *ports, size_t count, uint32_t lease_ms)
{
	struct nftnl_set *s = named_set(table, set);
	bool ok = s != NULL;
	for (size_t i = 0; ok && i < count; i++)
		ok = add_element(s, ports[i], lease_ms);
	struct nlmsghdr *nlh = NULL;
	if (ok)
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

void pg_nft_add_ports(struct pg_nft *n, const char *table, const char *set, const uint16_t *ports,
		      size_t count, uint32_t lease_ms)
{
	for (size_t at = 0; at < count; at += PORTS_PER_MESSAGE)
		put_ports(n, NFT_MSG_NEWSETELEM, table, set, ports + at,
			  count - at < PORTS_PER_MESSAGE ? count - at : PORTS_PER_MESSAGE,
			  lease_ms);
}

void pg_nft_del_ports(struct pg_nft *n, const char *table, const char *set, const uint16_t *ports,
		      size_t count)
{
	for (size_t at = 0; at < count; at += PORTS_PER_MESSAGE)
		put_ports(n, NFT_MSG_DELSETELEM, table, set, ports + at,
			  count - at < PORTS_PER_MESSAGE ? count - at : PORTS_PER_MESSAGE, 0);
}

void pg_nft_add_chain(struct pg_nft *n, const char *table, const struct pg_nft_chain *chain)
{
	struct nftnl_chain *c = nftnl_chain_alloc();
	struct nlmsghdr *nlh = NULL;
	if (c && nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, table) == 0 &&
	    nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, chain->name) == 0 &&
	    (!chain->type || nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, chain->type) == 0)) {
		if (chain->type) {
			nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, chain->hook);
			nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, chain->priority);
			nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, NF_ACCEPT);
		}
		nlh = nft_message(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	} else {
		nft_message_failed(n);
	}
	if (nlh) {
		nftnl_chain_nlmsg_build_payload(nlh, c);
		nft_message_done(n, nlh);
	}
	if (c)
		nftnl_chain_free(c);
}

void pg_nft_add_rule(struct pg_nft *n, const char *table, const char *chain,
		     const struct pg_nft_expr *words)
{
	struct nlmsghdr *nlh = nft_message(n, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	if (!nlh)
		return;
	if (pg_nft_rule_put(nlh, table, chain, words) < 0)
		nft_message_failed(n);
	else
		nft_message_done(n, nlh);
}
