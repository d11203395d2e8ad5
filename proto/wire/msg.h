#pragma once
#include <stddef.h>
#include <stdint.h>

#include "proto/wire/podgraft.pb-c.h"

/* Control messages and OPEN payloads, unpacked with a cap and with every field checked: what comes
 * out may be used as it is. Decoders return 0 and a message that the caller frees with the matching
 * free call, or -EPROTO, -EMSGSIZE or -ENOMEM with *out untouched; *why names the first bad field
 * (static text, may be NULL). */

enum {
	PG_OWNER_MAX = 64,
	PG_TEXT_MAX = 512,
	PG_PORTS_MAX = 1024,
	PG_NETWORKS_MAX = 64,
	PG_NODES_MAX = 16,
	PG_OPEN_MAX = 256, /* bytes of a packed OPEN payload, with room for later fields */
};

int pg_msg_unpack(const uint8_t *p, size_t n, Podgraft__V1__Control **out, const char **why);
void pg_msg_free(Podgraft__V1__Control *m);

int pg_open_unpack(const uint8_t *p, size_t n, Podgraft__V1__Open **out, const char **why);
void pg_open_free(Podgraft__V1__Open *m);

/* Packs into `buf` of `cap` bytes: the length, or -ENOBUFS. */
int pg_msg_pack(const Podgraft__V1__Control *m, uint8_t *buf, size_t cap);
int pg_open_pack(const Podgraft__V1__Open *m, uint8_t *buf, size_t cap);
