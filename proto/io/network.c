#include "proto/io/network.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/num.h"

enum { MAPPED_BITS = 96 };
static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* The bits of byte `i` that belong to a prefix of `bits`. */
static uint8_t mask_at(unsigned bits, size_t i)
{
	unsigned before = (unsigned)i * 8;
	if (bits >= before + 8)
		return 0xff;
	if (bits <= before)
		return 0;
	return (uint8_t)(0xff << (8 - (bits - before)));
}

void pg_network_set(struct pg_network *out, const uint8_t *bytes, size_t n, unsigned prefix)
{
	assert((n == 4 || n == 16) && prefix <= n * 8);
	if (n == 16 && prefix >= MAPPED_BITS && memcmp(bytes, mapped, sizeof(mapped)) == 0) {
		bytes += sizeof(mapped);
		n = 4;
		prefix -= MAPPED_BITS;
	}
	*out = (struct pg_network){ .version = n == 4 ? 4 : 6, .prefix = (uint8_t)prefix };
	for (size_t i = 0; i < n; i++)
		out->address[i] = bytes[i] & mask_at(prefix, i);
}

int pg_network_parse(const char *text, struct pg_network *out)
{
	uint8_t bytes[16];
	char address[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	size_t n = inet_pton(AF_INET, address, bytes) == 1    ? 4
		   : inet_pton(AF_INET6, address, bytes) == 1 ? 16
							      : 0;
	uint64_t prefix = n * 8;
	if (n == 0 || (text[len] == '/' && pg_parse_u64(text + len + 1, 0, n * 8, &prefix) < 0))
		return -EINVAL;
	pg_network_set(out, bytes, n, (unsigned)prefix);
	return 0;
}

size_t pg_network_bytes(const struct pg_network *n)
{
	return n->version == 4 ? 4 : 16;
}

void pg_network_range(const struct pg_network *n, uint8_t first[16], uint8_t last[16])
{
	memset(first, 0, 16);
	memset(last, 0, 16);
	for (size_t i = 0; i < pg_network_bytes(n); i++) {
		first[i] = n->address[i];
		last[i] = n->address[i] | (uint8_t)~mask_at(n->prefix, i);
	}
}

bool pg_network_covers(const struct pg_network *a, const struct pg_network *b)
{
	if (a->version != b->version || a->prefix > b->prefix)
		return false;
	for (size_t i = 0; i < pg_network_bytes(a); i++)
		if ((b->address[i] & mask_at(a->prefix, i)) != a->address[i])
			return false;
	return true;
}

size_t pg_networks_tidy(struct pg_network *list, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		struct pg_network n = list[i];
		bool covered = false;
		for (size_t k = 0; k < kept && !covered; k++)
			covered = pg_network_covers(&list[k], &n);
		if (covered)
			continue;
		size_t left = 0;
		for (size_t k = 0; k < kept; k++)
			if (!pg_network_covers(&n, &list[k]))
				list[left++] = list[k];
		kept = left;
		list[kept++] = n;
	}
	return kept;
}

void pg_network_text(const struct pg_network *n, char out[PG_NETWORK_TEXT])
{
	size_t bytes = pg_network_bytes(n);
	inet_ntop(bytes == 4 ? AF_INET : AF_INET6, n->address, out, PG_NETWORK_TEXT);
	size_t len = strlen(out);
	if (n->prefix < bytes * 8)
		snprintf(out + len, PG_NETWORK_TEXT - len, "/%u", n->prefix);
}
