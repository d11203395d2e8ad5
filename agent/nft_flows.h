#pragma once
#include <stddef.h>
#include <stdint.h>

#include "agent/nft_batch.h"
#include "proto/io/network.h"

/* Sets of flows: which user's connections to which port of which addresses. Matched by
 * PG_X_FLOW_IN. Concatenations with ranges are known to Linux from 5.6 on. */
struct pg_nft_flow {
	uint32_t uid_first, uid_last;
	uint16_t port;
	const struct pg_network *to; /* of the set's version; borrowed */
};

/* A set for addresses of that `version`, 4 or 6. Refused with EOPNOTSUPP or EINVAL before 5.6. */
void pg_nft_add_flows_set(struct pg_nft *n, const char *table, const char *set, uint8_t version);

/* One flow in or out of such a set. One that has something in common with another is refused with
 * EEXIST or ENOTEMPTY; removing one that is not there with ENOENT. */
void pg_nft_add_flow(struct pg_nft *n, const char *table, const char *set,
		     const struct pg_nft_flow *flow);
void pg_nft_del_flow(struct pg_nft *n, const char *table, const char *set,
		     const struct pg_nft_flow *flow);
