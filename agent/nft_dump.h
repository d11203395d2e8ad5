#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/nft_batch.h"

/* What the kernel holds: read, never changed. All need NET_ADMIN (-EPERM without);
 * -EPROTONOSUPPORT: there is no nf_tables. */

/* A base chain of the pod, or a chain that one may jump to (type ""). */
struct pg_nft_seen_chain {
	const char *name, *type; /* borrowed for the call */
	unsigned hook;           /* of base chains */
};

/* Calls `seen` for every chain of the families ip, ip6 and inet. */
int pg_nft_each_chain(struct pg_nft *n, void (*seen)(void *ctx, const struct pg_nft_seen_chain *c),
		      void *ctx, struct pg_err *err);

/* Calls `seen` for every table of family inet. */
int pg_nft_each_table(struct pg_nft *n, void (*seen)(void *ctx, const char *name), void *ctx,
		      struct pg_err *err);

struct pg_nft_seen_table {
	uint64_t handle;
	bool owned;        /* by some socket */
	char comment[256]; /* "" when there is none */
};

/* The table of that name: 0, or -ENOENT with *out untouched. */
int pg_nft_read_table(struct pg_nft *n, const char *table, struct pg_nft_seen_table *out,
		      struct pg_err *err);

/* 0 when `port` is in the set and its lease lasts, -ENOENT when not, or there is no such set. */
int pg_nft_read_port(struct pg_nft *n, const char *table, const char *set, uint16_t port,
		     struct pg_err *err);

/* The text of a comment in table user data: a list of {u8 type, u8 length, value}, of which type 0
 * holds a NUL-terminated text (at most 255 bytes with the NUL). 0, or -EPROTO with *out untouched
 * when there is none, or the list is not one. Pure. */
int pg_nft_parse_comment(const uint8_t *udata, size_t n, char out[256]);
