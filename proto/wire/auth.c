#include "proto/wire/auth.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static_assert(PG_KEY_BYTES == crypto_sign_PUBLICKEYBYTES, "Ed25519 public key");
static_assert(PG_SECRET_BYTES == crypto_sign_SECRETKEYBYTES, "Ed25519 secret key");
static_assert(PG_SIG_BYTES == crypto_sign_BYTES, "Ed25519 signature");
static_assert(PG_MAC_KEY_BYTES == crypto_generichash_KEYBYTES, "BLAKE2b key");
static_assert(PG_MAC_BYTES >= crypto_generichash_BYTES_MIN, "BLAKE2b output");

const uint8_t pg_session_of_undo[PG_SESSION_BYTES];

#define DOMAIN "podgraft-v1"

enum {
	STRING_MAX = 255, /* a length is one byte */
	STATEMENT_MAX = 2 + sizeof(DOMAIN) + 2 * (1 + PG_NAME_MAX) + 2 * PG_KEY_BYTES +
			2 * PG_NONCE_BYTES + 2 * (1 + PG_VERSION_MAX) + PG_SESSION_BYTES,
	B64_VARIANT = sodium_base64_VARIANT_ORIGINAL,
	B64_LONGEST = PG_B64_SIG, /* of all that stands in an Authorization value */
};

int pg_auth_init(void)
{
	return sodium_init() < 0 ? -EIO : 0;
}

void pg_keys_make(struct pg_keys *out)
{
	crypto_sign_keypair(out->pub, out->secret);
}

void pg_random(void *p, size_t n)
{
	randombytes_buf(p, n);
}

void pg_mac(const uint8_t key[PG_MAC_KEY_BYTES], const void *p, size_t n, uint8_t mac[PG_MAC_BYTES])
{
	crypto_generichash(mac, PG_MAC_BYTES, p, n, key, PG_MAC_KEY_BYTES);
}

int pg_mac_verify(const uint8_t key[PG_MAC_KEY_BYTES], const void *p, size_t n,
		  const uint8_t mac[PG_MAC_BYTES])
{
	uint8_t want[PG_MAC_BYTES];
	pg_mac(key, p, n, want);
	return sodium_memcmp(want, mac, sizeof(want)) == 0 ? 0 : -EACCES;
}

/* The serialised statement, as docs/protocol.md "Proof" lays it out. */
struct image {
	uint8_t bytes[STATEMENT_MAX];
	size_t len;
};

static void put(struct image *im, const void *p, size_t n)
{
	assert(n <= sizeof(im->bytes) - im->len);
	memcpy(im->bytes + im->len, p, n);
	im->len += n;
}

static void put_u8(struct image *im, unsigned v)
{
	assert(v <= UINT8_MAX);
	uint8_t byte = (uint8_t)v;
	put(im, &byte, 1);
}

/* `size` is that of the array, within which the string must end. */
static void put_string(struct image *im, const char *text, size_t size)
{
	size_t n = strnlen(text, size);
	assert(n < size && n <= STRING_MAX);
	put_u8(im, (unsigned)n);
	put(im, text, n);
}

static void serialise(const struct pg_statement *st, enum pg_role role, struct image *im)
{
	assert(role == PG_ROLE_LAPTOP || role == PG_ROLE_AGENT);
	im->len = 0;
	put_string(im, DOMAIN, sizeof(DOMAIN));
	put_u8(im, role);
	put_u8(im, st->purpose);
	put_string(im, st->pod_uid, sizeof(st->pod_uid));
	put_string(im, st->container, sizeof(st->container));
	put(im, st->laptop_key, PG_KEY_BYTES);
	put(im, st->agent_key, PG_KEY_BYTES);
	put(im, st->laptop_nonce, PG_NONCE_BYTES);
	put(im, st->agent_nonce, PG_NONCE_BYTES);
	put_string(im, st->laptop_version, sizeof(st->laptop_version));
	put_string(im, st->agent_version, sizeof(st->agent_version));
	put(im, st->session, PG_SESSION_BYTES);
}

size_t pg_statement_bytes(const struct pg_statement *st, enum pg_role role,
			  uint8_t out[PG_STATEMENT_MAX])
{
	struct image im;
	serialise(st, role, &im);
	static_assert(sizeof(im.bytes) <= PG_STATEMENT_MAX, "the caller's room");
	memcpy(out, im.bytes, im.len);
	return im.len;
}

static const uint8_t *key_of(const struct pg_statement *st, enum pg_role role)
{
	return role == PG_ROLE_LAPTOP ? st->laptop_key : st->agent_key;
}

void pg_statement_sign(const struct pg_statement *st, enum pg_role role, const struct pg_keys *keys,
		       uint8_t sig[PG_SIG_BYTES])
{
	struct image im;
	serialise(st, role, &im);
	/* Signing with a key that the statement does not name can only be a slip of ours. */
	assert(memcmp(keys->pub, key_of(st, role), PG_KEY_BYTES) == 0);
	crypto_sign_detached(sig, NULL, im.bytes, im.len, keys->secret);
}

int pg_statement_verify(const struct pg_statement *st, enum pg_role role,
			const uint8_t sig[PG_SIG_BYTES])
{
	struct image im;
	serialise(st, role, &im);
	int rc = crypto_sign_verify_detached(sig, im.bytes, im.len, key_of(st, role));
	return rc == 0 ? 0 : -EACCES;
}

void pg_b64_encode(const uint8_t *p, size_t n, char *out)
{
	sodium_bin2base64(out, sodium_base64_encoded_len(n, B64_VARIANT), p, n, B64_VARIANT);
}

int pg_b64_decode(const char *text, uint8_t *out, size_t n)
{
	uint8_t bytes[PG_SIG_BYTES];
	char again[PG_B64_SIG];
	size_t got = 0;
	assert(n <= sizeof(bytes));
	if (sodium_base642bin(bytes, sizeof(bytes), text, strlen(text), NULL, &got, NULL,
			      B64_VARIANT) != 0 ||
	    got != n)
		return -EINVAL;
	/* libsodium 1.0.18 takes some bytes above 0x7f for digits: only the one spelling will do.
	 */
	pg_b64_encode(bytes, n, again);
	if (strcmp(again, text) != 0)
		return -EINVAL;
	memcpy(out, bytes, n);
	return 0;
}

void pg_authz_format(const struct pg_statement *st, const uint8_t sig[PG_SIG_BYTES],
		     char out[PG_AUTHZ_MAX])
{
	char key[PG_B64_KEY], nonce[PG_B64_KEY], agent_nonce[PG_B64_KEY], session[PG_B64_KEY];
	char sig_text[PG_B64_SIG];
	pg_b64_encode(st->laptop_key, PG_KEY_BYTES, key);
	pg_b64_encode(st->laptop_nonce, PG_NONCE_BYTES, nonce);
	pg_b64_encode(st->agent_nonce, PG_NONCE_BYTES, agent_nonce);
	pg_b64_encode(st->session, PG_SESSION_BYTES, session);
	pg_b64_encode(sig, PG_SIG_BYTES, sig_text);
	int n = snprintf(out, PG_AUTHZ_MAX,
			 "Podgraft key=\"%s\",nonce=\"%s\",agent-nonce=\"%s\",version=\"%s\","
			 "session=\"%s\",sig=\"%s\"",
			 key, nonce, agent_nonce, st->laptop_version, session, sig_text);
	assert(n > 0 && n < PG_AUTHZ_MAX);
	(void)n;
}

/* Moves *text past `lead`, a value without quotes, and the quote that ends it; copies the value
 * into `out` of `size` bytes. False, with *text anywhere, when it does not look like that. */
static bool take_value(const char **text, const char *lead, char *out, size_t size)
{
	size_t lead_len = strlen(lead);
	if (strncmp(*text, lead, lead_len) != 0)
		return false;
	const char *value = *text + lead_len;
	size_t n = strcspn(value, "\"");
	if (value[n] != '"' || n >= size)
		return false;
	memcpy(out, value, n);
	out[n] = '\0';
	*text = value + n + 1;
	return true;
}

static bool take_bytes(const char **text, const char *lead, uint8_t *out, size_t n)
{
	char value[B64_LONGEST];
	return take_value(text, lead, value, sizeof(value)) && pg_b64_decode(value, out, n) == 0;
}

static bool is_version(const char *v)
{
	static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ.+-_";
	return v[0] != '\0' && v[strspn(v, allowed)] == '\0';
}

int pg_authz_parse(const char *text, struct pg_statement *st, uint8_t sig[PG_SIG_BYTES])
{
	struct pg_statement got = *st;
	uint8_t got_sig[PG_SIG_BYTES];
	bool fits =
		take_bytes(&text, "Podgraft key=\"", got.laptop_key, PG_KEY_BYTES) &&
		take_bytes(&text, ",nonce=\"", got.laptop_nonce, PG_NONCE_BYTES) &&
		take_bytes(&text, ",agent-nonce=\"", got.agent_nonce, PG_NONCE_BYTES) &&
		take_value(&text, ",version=\"", got.laptop_version, sizeof(got.laptop_version)) &&
		take_bytes(&text, ",session=\"", got.session, PG_SESSION_BYTES) &&
		take_bytes(&text, ",sig=\"", got_sig, PG_SIG_BYTES);
	if (!fits || *text != '\0' || !is_version(got.laptop_version))
		return -EINVAL;
	*st = got;
	memcpy(sig, got_sig, PG_SIG_BYTES);
	return 0;
}
