#pragma once
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"

/* The mutual proof of design 3.6 (docs/protocol.md, "Proof"): both sides sign the same statement
 * with Ed25519, each under its own role, so that a signature fits one connection, one direction,
 * one agent and one purpose. pg_auth_init() comes first in a process. */
enum {
	PG_KEY_BYTES = 32,    /* crypto_sign_PUBLICKEYBYTES */
	PG_SECRET_BYTES = 64, /* crypto_sign_SECRETKEYBYTES */
	PG_SIG_BYTES = 64,
	PG_NONCE_BYTES = 32,
	PG_SESSION_BYTES = 16,
	PG_MAC_KEY_BYTES = 32,
	PG_MAC_BYTES = 16,
	PG_VERSION_MAX = 32, /* "0.1.0", letters, digits and .+-_ */
	PG_NAME_MAX = 63,    /* container name, pod uid: DNS-1123 characters */
	PG_B64_KEY = 45,     /* room for 32 bytes in base64, NUL included */
	PG_B64_SIG = 89,
};

enum pg_purpose { PG_PURPOSE_LINK = 1, PG_PURPOSE_READ = 2 };
enum pg_role { PG_ROLE_LAPTOP = 1, PG_ROLE_AGENT = 2 };

struct pg_keys {
	uint8_t pub[PG_KEY_BYTES];
	uint8_t secret[PG_SECRET_BYTES];
};

/* What both sides sign. Strings are NUL-terminated within their arrays. */
struct pg_statement {
	enum pg_purpose purpose;
	char pod_uid[PG_NAME_MAX + 1];
	char container[PG_NAME_MAX + 1];
	uint8_t laptop_key[PG_KEY_BYTES], agent_key[PG_KEY_BYTES];
	uint8_t laptop_nonce[PG_NONCE_BYTES], agent_nonce[PG_NONCE_BYTES];
	char laptop_version[PG_VERSION_MAX + 1], agent_version[PG_VERSION_MAX + 1];
	uint8_t session[PG_SESSION_BYTES]; /* zeros for PG_PURPOSE_READ */
};

/* Zeros: the session of a link that is there to end the agent, for which it always has room. */
extern const uint8_t pg_session_of_undo[PG_SESSION_BYTES];

/* 0, or -EIO when the machine has no randomness. */
int pg_auth_init(void);
void pg_keys_make(struct pg_keys *out);
void pg_random(void *p, size_t n);

/* A code over `n` bytes that nobody without `key` can make: keyed BLAKE2b of 16 bytes (RFC 7693).
 * Verifying takes the same time whatever differs: 0, or -EACCES. */
void pg_mac(const uint8_t key[PG_MAC_KEY_BYTES], const void *p, size_t n,
	    uint8_t mac[PG_MAC_BYTES]);
int pg_mac_verify(const uint8_t key[PG_MAC_KEY_BYTES], const void *p, size_t n,
		  const uint8_t mac[PG_MAC_BYTES]);

/* The bytes that are signed, laid out as the document says; returns their count. Signing and
 * verifying do this by themselves. */
enum { PG_STATEMENT_MAX = 512 };
size_t pg_statement_bytes(const struct pg_statement *st, enum pg_role role,
			  uint8_t out[PG_STATEMENT_MAX]);

void pg_statement_sign(const struct pg_statement *st, enum pg_role role, const struct pg_keys *keys,
		       uint8_t sig[PG_SIG_BYTES]);

/* 0, or -EACCES when `sig` is not that of the role's key over this statement. */
int pg_statement_verify(const struct pg_statement *st, enum pg_role role,
			const uint8_t sig[PG_SIG_BYTES]);

/* Standard base64 with padding. Encoding needs room for 4 * ((n + 2) / 3) + 1 bytes. Decoding
 * wants exactly `n` bytes: 0, or -EINVAL with *out untouched. */
void pg_b64_encode(const uint8_t *p, size_t n, char *out);
int pg_b64_decode(const char *text, uint8_t *out, size_t n);

/* The value of the Authorization header with which a laptop proves itself:
 *   Podgraft key="B64",nonce="B64",agent-nonce="B64",version="0.1.0",session="B64",sig="B64"
 * Formatting needs PG_AUTHZ_MAX bytes. Parsing fills the fields below and nothing else; -EINVAL
 * (with *st and sig untouched) for anything that is not exactly such a value. */
enum { PG_AUTHZ_MAX = 512 };
void pg_authz_format(const struct pg_statement *st, const uint8_t sig[PG_SIG_BYTES],
		     char out[PG_AUTHZ_MAX]);
int pg_authz_parse(const char *text, struct pg_statement *st, uint8_t sig[PG_SIG_BYTES]);
