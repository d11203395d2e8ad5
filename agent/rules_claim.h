#pragma once
#include <stdint.h>

#include "agent/rules.h"

/* What a claim says: the comment of the table `podgraft-tcp-PORT`, for `nft list` to show and for
 * other agents to read: "ann@laptop since 2026-11-22T16:20:13Z". */

enum { PG_CLAIM_NAME = 24, PG_CLAIM_TEXT = 128 }; /* bytes with the NUL; nft's limit of comments */

/* The claim table's name. */
void pg_claim_name(uint16_t port, char out[PG_CLAIM_NAME]);

/* The text of `claim`, whose `since` is a time up to the year 9999. */
void pg_claim_format(const struct pg_claim *claim, char out[PG_CLAIM_TEXT]);

/* The reverse, for text by whomever. What is not such a text becomes a holder without a time: the
 * claim is there, whatever it says. Control characters are replaced. */
void pg_claim_parse(const char *text, struct pg_claim *out);
