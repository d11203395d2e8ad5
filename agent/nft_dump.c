#include "agent/nft_dump.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "agent/nft_sock.h"
#include "proto/wire/cursor.h"

#ifndef NFT_TABLE_F_OWNER
#define NFT_TABLE_F_OWNER 0x2
#endif

enum { DUMP_TRIES = 4 }; /* of a dump that changes while it is read */

int pg_nft_parse_comment(const uint8_t *udata, size_t n, char out[256])
{
	struct pg_cursor c = pg_cursor(udata, n);
	while (c.left > 0) {
		uint8_t type = pg_cursor_u8(&c);
		uint8_t length = pg_cursor_u8(&c);
		const uint8_t *value = pg_cursor_bytes(&c, length);
		if (c.is_short)
			return -EPROTO;
		if (type != 0)
			continue;
		if (length == 0 || memchr(value, '\0', length) != value + length - 1)
			return -EPROTO;
		memcpy(out, value, length);
		return 0;
	}
	return -EPROTO;
}

/* Starts a request in `buf`, with as much room as a request of ours can need. */
static struct nlmsghdr *request(struct pg_nft *n, char *buf, uint16_t type, uint16_t family,
				uint16_t flags)
{
	return nftnl_nlmsg_build_hdr(buf, type, family, flags, ++n->seq);
}

static int ask(struct pg_nft *n, const struct nlmsghdr *nlh,
	       int (*on_message)(void *ctx, const struct nlmsghdr *nlh), void *ctx)
{
	struct nft_exchange x = { .bytes = nlh,
				  .n = nlh->nlmsg_len,
				  .first_seq = nlh->nlmsg_seq,
				  .last_seq = nlh->nlmsg_seq,
				  .on_message = on_message,
				  .ctx = ctx };
	uint32_t refused_seq;
	return nft_exchange(n, &x, &refused_seq);
}

static int explain(int code, const char *what, struct pg_err *err)
{
	bool no_subsystem = code == -EOPNOTSUPP || code == -EINVAL;
	if (no_subsystem)
		code = -EPROTONOSUPPORT;
	pg_fail(err, code, "read the pod's nf_tables %s", what);
	if (code == -EPERM)
		pg_hint(err, PG_TARGET,
			"the agent lacks NET_ADMIN: graft it with the profile 'redirect'");
	if (no_subsystem)
		pg_hint(err, PG_TARGET,
			"the node's kernel or the pod's sandbox has no nf_tables: choose a "
			"pod on another node, or without its runtime class");
	return code;
}

struct chain_visit {
	void (*seen)(void *ctx, const struct pg_nft_seen_chain *c);
	void *ctx;
};

static int on_chain(void *ctx, const struct nlmsghdr *nlh)
{
	const struct chain_visit *v = ctx;
	struct nftnl_chain *c = nftnl_chain_alloc();
	if (!c)
		return -ENOMEM;
	int code = 0;
	if (nftnl_chain_nlmsg_parse(nlh, c) < 0) {
		code = -EPROTO;
	} else {
		const char *type = nftnl_chain_get_str(c, NFTNL_CHAIN_TYPE);
		struct pg_nft_seen_chain seen = {
			.name = nftnl_chain_get_str(c, NFTNL_CHAIN_NAME),
			.type = type ? type : "",
			.hook = nftnl_chain_get_u32(c, NFTNL_CHAIN_HOOKNUM),
		};
		uint32_t family = nftnl_chain_get_u32(c, NFTNL_CHAIN_FAMILY);
		if (seen.name &&
		    (family == NFPROTO_INET || family == NFPROTO_IPV4 || family == NFPROTO_IPV6))
			v->seen(v->ctx, &seen);
	}
	nftnl_chain_free(c);
	return code;
}

int pg_nft_each_chain(struct pg_nft *n, void (*seen)(void *ctx, const struct pg_nft_seen_chain *c),
		      void *ctx, struct pg_err *err)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct chain_visit v = { .seen = seen, .ctx = ctx };
	int code = -EINTR;
	for (int i = 0; i < DUMP_TRIES && code == -EINTR; i++)
		code = ask(n, request(n, buf, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC, NLM_F_DUMP),
			   on_chain, &v);
	return code ? explain(code, "chains", err) : 0;
}

struct table_visit {
	void (*seen)(void *ctx, const char *name);
	void *ctx;
	struct pg_nft_seen_table *out; /* for one table, else NULL */
};

static void keep_table(struct pg_nft_seen_table *out, const struct nftnl_table *t)
{
	uint32_t n = 0;
	const uint8_t *udata = NULL;
	*out = (struct pg_nft_seen_table){
		.handle = nftnl_table_get_u64(t, NFTNL_TABLE_HANDLE),
		.owned = nftnl_table_get_u32(t, NFTNL_TABLE_FLAGS) & NFT_TABLE_F_OWNER,
	};
	if (nftnl_table_is_set(t, NFTNL_TABLE_USERDATA))
		udata = nftnl_table_get_data(t, NFTNL_TABLE_USERDATA, &n);
	if (udata && pg_nft_parse_comment(udata, n, out->comment) < 0)
		out->comment[0] = '\0'; /* not one of ours */
}

static int on_table(void *ctx, const struct nlmsghdr *nlh)
{
	const struct table_visit *v = ctx;
	struct nftnl_table *t = nftnl_table_alloc();
	if (!t)
		return -ENOMEM;
	int code = nftnl_table_nlmsg_parse(nlh, t) < 0 ? -EPROTO : 0;
	const char *name = nftnl_table_get_str(t, NFTNL_TABLE_NAME);
	if (code == 0 && v->out)
		keep_table(v->out, t);
	else if (code == 0 && name && nftnl_table_get_u32(t, NFTNL_TABLE_FAMILY) == NFPROTO_INET)
		v->seen(v->ctx, name);
	nftnl_table_free(t);
	return code;
}

int pg_nft_each_table(struct pg_nft *n, void (*seen)(void *ctx, const char *name), void *ctx,
		      struct pg_err *err)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct table_visit v = { .seen = seen, .ctx = ctx };
	int code = -EINTR;
	for (int i = 0; i < DUMP_TRIES && code == -EINTR; i++)
		code = ask(n, request(n, buf, NFT_MSG_GETTABLE, NFPROTO_INET, NLM_F_DUMP), on_table,
			   &v);
	return code ? explain(code, "tables", err) : 0;
}

int pg_nft_read_table(struct pg_nft *n, const char *table, struct pg_nft_seen_table *out,
		      struct pg_err *err)
{
	_Alignas(struct nlmsghdr) char buf[512];
	struct pg_nft_seen_table seen;
	struct table_visit v = { .out = &seen };
	struct nlmsghdr *nlh = request(n, buf, NFT_MSG_GETTABLE, NFPROTO_INET, NLM_F_ACK);
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, table);
	int code = ask(n, nlh, on_table, &v);
	if (code)
		return explain(code, "tables", err);
	*out = seen;
	return 0;
}

int pg_nft_read_port(struct pg_nft *n, const char *table, const char *set, uint16_t port,
		     struct pg_err *err)
{
	_Alignas(struct nlmsghdr) char buf[512];
	uint16_t port_be = htons(port);
	struct nlmsghdr *nlh = request(n, buf, NFT_MSG_GETSETELEM, NFPROTO_INET, NLM_F_ACK);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
	struct nlattr *elements = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	struct nlattr *element = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	struct nlattr *key = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_KEY);
	mnl_attr_put(nlh, NFTA_DATA_VALUE, sizeof(port_be), &port_be);
	mnl_attr_nest_end(nlh, key);
	mnl_attr_nest_end(nlh, element);
	mnl_attr_nest_end(nlh, elements);
	int code = ask(n, nlh, NULL, NULL);
	return code ? explain(code, "sets", err) : 0;
}
