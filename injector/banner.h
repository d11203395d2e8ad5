#pragma once
#include <stdint.h>

#include "proto/wire/auth.h"

/* The first line of an agent's log: where it listens, and as whom (docs/protocol.md). Pure. */
struct pg_banner {
	unsigned version; /* of the banner itself: 1 */
	uint16_t port;    /* of the control API, on 127.0.0.1; never 0 */
	uint8_t key[PG_KEY_BYTES];
};

/* Reads "podgraft-agent/1 listening on 127.0.0.1:41873 key BASE64", the whole line without its
 * newline. 0; -EPROTONOSUPPORT for a banner of another version (only out->version is set);
 * -EINVAL for any other line, with *out untouched. */
int pg_banner_parse(const char *line, struct pg_banner *out);
