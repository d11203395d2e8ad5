#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/nft_batch.h"
#include "agent/nft_expr.h"

/* What a transaction is made of. All tables are of family inet. A failure to put a message together
 * is kept in the transaction: pg_nft_commit() reports it. Names are borrowed for the call. */

enum pg_nft_table_flags {
	PG_NFT_OWNED = 1,     /* by this socket; refused with EINVAL or EOPNOTSUPP before 5.12 */
	PG_NFT_EXCLUSIVE = 2, /* refused with EEXIST, or EPERM when another socket owns it */
};

/* A table, with a comment that `nft list` shows; NULL: none. */
void pg_nft_add_table(struct pg_nft *n, const char *table, unsigned flags, const char *comment);

/* Removes the table and all in it; with a `handle` other than 0 only the one that has it. */
void pg_nft_del_table(struct pg_nft *n, const char *table, uint64_t handle);

/* A set of ports, each for as long as its lease lasts. */
void pg_nft_add_ports_set(struct pg_nft *n, const char *table, const char *set);

/* Ports (host order, at most 256) in or out of such a set. Adding one that is there keeps what is
 * left of its lease; removing one that is not, or no more, is refused with ENOENT. */
void pg_nft_add_ports(struct pg_nft *n, const char *table, const char *set, const uint16_t *ports,
		      size_t count, uint32_t lease_ms);
void pg_nft_del_ports(struct pg_nft *n, const char *table, const char *set, const uint16_t *ports,
		      size_t count);

struct pg_nft_chain {
	const char *name;
	const char *type; /* "filter" or "nat"; NULL: no base chain, a target of PG_X_GOTO */
	unsigned hook;    /* NF_INET_PRE_ROUTING ... */
	int priority;
};
void pg_nft_add_chain(struct pg_nft *n, const char *table, const struct pg_nft_chain *chain);

/* Appends a rule of these words (PG_RULE). */
void pg_nft_add_rule(struct pg_nft *n, const char *table, const char *chain,
		     const struct pg_nft_expr *words);
