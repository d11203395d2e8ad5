#pragma once
#include "agent/nft_sock.h"

/* Shared by nft_*.c only: how a message gets into the running transaction. Whatever fails is kept
 * and reported by pg_nft_commit(), so that transactions are written straight down. */

/* Starts a message of NFT_MSG_* `type` for family inet. NULL: the transaction has failed already,
 * there is nothing more to do. The caller writes the payload, then calls nft_message_done(). */
struct nlmsghdr *nft_message(struct pg_nft *n, uint16_t type, uint16_t flags);
void nft_message_done(struct pg_nft *n, const struct nlmsghdr *nlh);

/* Out of memory: the transaction will not be sent. */
void nft_message_failed(struct pg_nft *n);
