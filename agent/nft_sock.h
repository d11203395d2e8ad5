#pragma once
#include <stddef.h>
#include <stdint.h>
#include <linux/netlink.h>

#include "proto/base/err.h"

/* Shared by nft_*.c only: the netlink socket beneath transactions and dumps. */

enum {
	NFT_TEXT_BYTES = 96,
	NFT_BATCH_BYTES = 128 << 10, /* of one transaction: 256 ports with their claims */
	NFT_MESSAGE_BYTES = 4 << 10, /* more than the longest message of ours */
	NFT_WAIT_MS = 1500,          /* for answers; the kernel gives them within the send */
};

struct pg_nft {
	int fd;
	uint32_t port_id;          /* the socket's address: what the kernel knows the owner by */
	uint32_t seq;              /* of the newest message */
	char text[NFT_TEXT_BYTES]; /* what the kernel said about the last refusal, or "" */

	/* The transaction being put together. */
	uint8_t *batch;
	size_t used;
	size_t last_at;     /* where its newest message starts */
	uint32_t begin_seq; /* of its first message */
	int failed;         /* 0, or why it cannot be sent */
};

/* One request and how its answers are read. */
struct nft_exchange {
	const void *bytes;
	size_t n;
	uint32_t first_seq, last_seq; /* of its messages; the last asks for an acknowledgement */
	/* A message that is neither error nor end; 0, or a negative errno which becomes the result
	 * (the other answers are still read). NULL: there is none. */
	int (*on_message)(void *ctx, const struct nlmsghdr *nlh);
	void *ctx;
};

/* Sends the request and reads until it is answered. Returns 0, what the kernel refused it with
 * (*refused_seq says which message), what on_message returned, -ETIMEDOUT after NFT_WAIT_MS,
 * -EINTR for a dump that changed under way, or the socket's error. */
int nft_exchange(struct pg_nft *n, const struct nft_exchange *x, uint32_t *refused_seq);
