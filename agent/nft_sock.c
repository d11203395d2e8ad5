#include "agent/nft_sock.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>

#include "agent/nft_batch.h"
#include "proto/base/mem.h"

#ifndef NETLINK_EXT_ACK
#define NETLINK_EXT_ACK 11
#endif

/* Both are comforts: texts with refusals, and refusals without the request's bytes. */
static void ask_for_short_errors(int fd)
{
	int on = 1;
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
}

int pg_nft_open(struct pg_nft **out, struct pg_err *err)
{
	pg_auto_close int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
	struct sockaddr_nl us = { .nl_family = AF_NETLINK };
	socklen_t len = sizeof(us);
	if (fd < 0 || bind(fd, (struct sockaddr *)&us, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&us, &len) < 0) {
		int code = -errno;
		pg_fail(err, code, "open a netfilter socket");
		return pg_hint(err, PG_TARGET,
			       "the node's kernel or the pod's sandbox has no nf_tables: choose a "
			       "pod on another node, or without its runtime class");
	}
	ask_for_short_errors(fd);
	struct pg_nft *n = pg_calloc(1, sizeof(*n));
	uint8_t *batch = pg_calloc(NFT_BATCH_BYTES + NFT_MESSAGE_BYTES, 1);
	if (!n || !batch) {
		free(n);
		free(batch);
		return pg_fail(err, -ENOMEM, "open a netfilter socket");
	}
	n->fd = pg_take_fd(&fd);
	n->port_id = us.nl_pid;
	n->seq = (uint32_t)time(NULL);
	n->batch = batch;
	*out = n;
	return 0;
}

void pg_nft_close(struct pg_nft *n)
{
	if (!n)
		return;
	close(n->fd);
	free(n->batch);
	free(n);
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0 once the socket is ready for `events`, -ETIMEDOUT at the deadline. */
static int wait_for(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		int64_t left = deadline_ms - now_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		struct pollfd p = { .fd = fd, .events = events };
		int r = poll(&p, 1, (int)left);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

static int send_all(struct pg_nft *n, const struct nft_exchange *x, int64_t deadline_ms)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	for (;;) {
		ssize_t r = sendto(n->fd, x->bytes, x->n, 0, (struct sockaddr *)&kernel,
				   sizeof(kernel));
		if (r >= 0)
			return (size_t)r == x->n ? 0 : -EMSGSIZE;
		int code = errno == EINTR    ? 0
			   : errno == EAGAIN ? wait_for(n->fd, POLLOUT, deadline_ms)
					     : -errno;
		if (code < 0)
			return code;
	}
}

/* mnl_attr_parse()'s callback: keeps NLMSGERR_ATTR_MSG. */
static int keep_attr(const struct nlattr *attr, void *ctx)
{
	struct pg_nft *n = ctx;
	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		snprintf(n->text, sizeof(n->text), "%s", mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

/* Keeps the text that came with a refusal, when the request's own bytes are not in between
 * (NETLINK_CAP_ACK). */
static void keep_text(struct pg_nft *n, const struct nlmsghdr *nlh)
{
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS && nlh->nlmsg_flags & NLM_F_CAPPED)
		mnl_attr_parse(nlh, sizeof(struct nlmsgerr), keep_attr, n);
}

/* The state of reading the answers to one request. */
struct reading {
	int result; /* of the first message that failed, else 0 */
	uint32_t refused_seq;
	bool done;
};

/* `code` is 0 for an acknowledgement. A refusal of the first message of a transaction is the only
 * answer to all of it. */
static void take_verdict(struct pg_nft *n, const struct nft_exchange *x, struct reading *r,
			 const struct nlmsghdr *nlh, int code)
{
	if (code < 0 && r->result == 0) {
		r->result = code;
		r->refused_seq = nlh->nlmsg_seq;
		if (nlh->nlmsg_type == NLMSG_ERROR)
			keep_text(n, nlh);
	}
	r->done = r->done || nlh->nlmsg_seq == x->last_seq ||
		  (code < 0 && nlh->nlmsg_seq == x->first_seq);
}

static void take_message(struct pg_nft *n, const struct nft_exchange *x, struct reading *r,
			 const struct nlmsghdr *nlh)
{
	if (nlh->nlmsg_seq - x->first_seq > x->last_seq - x->first_seq)
		return; /* a late answer to an earlier request */
	bool is_verdict = nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE;
	if (is_verdict) {
		int code = 0;
		if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(code))
			memcpy(&code, mnl_nlmsg_get_payload(nlh), sizeof(code));
		take_verdict(n, x, r, nlh, code > 0 ? -EPROTO : code);
	} else if (nlh->nlmsg_type >= NLMSG_MIN_TYPE && x->on_message && r->result == 0) {
		r->result = x->on_message(x->ctx, nlh);
		r->refused_seq = nlh->nlmsg_seq;
	}
	if (nlh->nlmsg_flags & NLM_F_DUMP_INTR && r->result == 0)
		r->result = -EINTR;
}

/* One datagram of answers: 0, -EAGAIN, or the socket's error. */
static int read_some(struct pg_nft *n, const struct nft_exchange *x, struct reading *r)
{
	_Alignas(struct nlmsghdr) char buf[32 << 10]; /* what the kernel puts in one datagram */
	ssize_t got = recv(n->fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);
	if (got < 0)
		return errno == EINTR ? 0 : -errno;
	if ((size_t)got > sizeof(buf))
		return -EMSGSIZE;
	int left = (int)got;
	for (const struct nlmsghdr *nlh = (const void *)buf; mnl_nlmsg_ok(nlh, left);
	     nlh = mnl_nlmsg_next(nlh, &left))
		take_message(n, x, r, nlh);
	return 0;
}

int nft_exchange(struct pg_nft *n, const struct nft_exchange *x, uint32_t *refused_seq)
{
	struct reading r = { .result = 0 };
	int64_t deadline_ms = now_ms() + NFT_WAIT_MS;
	n->text[0] = '\0';
	int code = send_all(n, x, deadline_ms);
	while (code == 0 && !r.done) {
		code = read_some(n, x, &r);
		if (code == -EAGAIN)
			code = wait_for(n->fd, POLLIN, deadline_ms);
	}
	if (code == 0 && (code = r.result) < 0)
		*refused_seq = r.refused_seq;
	return code;
}
