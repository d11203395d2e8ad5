#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

/* Addresses that share their first bits: "10.0.0.0/8", "fd00::/64", or one address. Pure. */
struct pg_network {
	uint8_t version;     /* 4 or 6; IPv4-mapped addresses are IPv4 */
	uint8_t prefix;      /* bits: at most 32 or 128 */
	uint8_t address[16]; /* 4 or 16 bytes of it are used; bits beyond the prefix are 0 */
};

/* `n` bytes of address, 4 or 16, and a prefix that fits them (both asserted). */
void pg_network_set(struct pg_network *out, const uint8_t *bytes, size_t n, unsigned prefix);

/* An address, or a network as ADDRESS/PREFIX. -EINVAL: `text` is neither; *out is untouched then.
 * Bits beyond the prefix are ignored, as by ip(8). */
int pg_network_parse(const char *text, struct pg_network *out);

/* Bytes of its addresses: 4 or 16. */
size_t pg_network_bytes(const struct pg_network *n);

/* Its first and its last address. */
void pg_network_range(const struct pg_network *n, uint8_t first[16], uint8_t last[16]);

/* Whether every address of `b` is one of `a`'s. */
bool pg_network_covers(const struct pg_network *a, const struct pg_network *b);

/* Leaves out what others in the list cover; the rest has no address in common. Returns how many
 * are left. */
size_t pg_networks_tidy(struct pg_network *list, size_t count);

/* Room for "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128". */
enum { PG_NETWORK_TEXT = 52 };

/* "10.0.0.0/8"; "10.0.0.7" for one address. */
void pg_network_text(const struct pg_network *n, char out[PG_NETWORK_TEXT]);
