#include "agent/nft_batch.h"

#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "agent/nft_message.h"

void pg_nft_begin(struct pg_nft *n)
{
	n->begin_seq = ++n->seq;
	n->failed = 0;
	n->last_at = 0;
	nftnl_batch_begin((char *)n->batch, n->begin_seq);
	n->used = NLMSG_ALIGN(((struct nlmsghdr *)(void *)n->batch)->nlmsg_len);
}

struct nlmsghdr *nft_message(struct pg_nft *n, uint16_t type, uint16_t flags)
{
	if (n->used > NFT_BATCH_BYTES)
		n->failed = -ENOBUFS;
	if (n->failed)
		return NULL;
	n->last_at = n->used;
	return nftnl_nlmsg_build_hdr((char *)n->batch + n->used, type, NFPROTO_INET, flags,
				     ++n->seq);
}

void nft_message_done(struct pg_nft *n, const struct nlmsghdr *nlh)
{
	assert(nlh->nlmsg_len <= NFT_MESSAGE_BYTES);
	n->used += NLMSG_ALIGN(nlh->nlmsg_len);
}

void nft_message_failed(struct pg_nft *n)
{
	n->failed = -ENOMEM;
}

/* What the `number`th message of the transaction was about, for people. */
static const char *about(const struct pg_nft *n, unsigned number)
{
	const struct nlmsghdr *nlh = (const void *)n->batch;
	int left = (int)n->used;
	while (number-- > 0 && mnl_nlmsg_ok(nlh, left))
		nlh = mnl_nlmsg_next(nlh, &left);
	switch (NFNL_MSG_TYPE(nlh->nlmsg_type)) {
	case NFT_MSG_NEWTABLE:
	case NFT_MSG_DELTABLE:
		return "the table";
	case NFT_MSG_NEWCHAIN:
		return "a chain";
	case NFT_MSG_NEWSET:
		return "a set";
	case NFT_MSG_NEWSETELEM:
	case NFT_MSG_DELSETELEM:
		return "a port";
	case NFT_MSG_NEWRULE:
		return "a rule";
	default:
		return "the transaction";
	}
}

static int explain(const struct pg_nft *n, int code, unsigned refused, struct pg_err *err)
{
	if (refused != PG_NFT_ALL)
		return pg_fail(err, code, "nf_tables refused %s%s%s", about(n, refused),
			       n->text[0] ? ": " : "", n->text);
	if (code == -EPERM) {
		pg_fail(err, code, "change the pod's nf_tables rules");
		return pg_hint(err, PG_TARGET,
			       "the agent lacks NET_ADMIN: graft it with the profile 'redirect'");
	}
	if (code == -EOPNOTSUPP) {
		pg_fail(err, code, "change the pod's nf_tables rules");
		return pg_hint(err, PG_TARGET,
			       "the node's kernel or the pod's sandbox has no nf_tables: choose a "
			       "pod on another node, or without its runtime class");
	}
	return pg_fail(err, code, "change the pod's nf_tables rules");
}

int pg_nft_commit(struct pg_nft *n, unsigned *refused_out, struct pg_err *err)
{
	if (n->failed)
		return pg_fail(err, n->failed, "put an nf_tables transaction together");
	assert(n->last_at != 0); /* an empty transaction is a fault of ours */

	/* One acknowledgement says it all: refusals are answered unasked. */
	struct nlmsghdr *last = (struct nlmsghdr *)(void *)(n->batch + n->last_at);
	last->nlmsg_flags |= NLM_F_ACK;
	uint32_t last_seq = n->seq;
	nftnl_batch_end((char *)n->batch + n->used, ++n->seq);
	n->used += NLMSG_ALIGN(((struct nlmsghdr *)(void *)(n->batch + n->used))->nlmsg_len);

	struct nft_exchange x = {
		.bytes = n->batch, .n = n->used, .first_seq = n->begin_seq, .last_seq = last_seq
	};
	uint32_t refused_seq = n->begin_seq;
	int code = nft_exchange(n, &x, &refused_seq);
	if (code == 0)
		return 0;
	unsigned refused = refused_seq - n->begin_seq;
	if (refused_out)
		*refused_out = refused;
	return explain(n, code, refused, err);
}
