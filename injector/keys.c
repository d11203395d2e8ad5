#include "injector/keys.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "injector/state_dir.h"

#define MARK "podgraft-key-1 "

enum { SECRET_B64 = 4 * ((PG_SECRET_BYTES + 2) / 3) };

void pg_keys_format(const struct pg_keys *keys, char out[PG_KEY_TEXT])
{
	char b64[SECRET_B64 + 1];
	pg_b64_encode(keys->secret, sizeof(keys->secret), b64);
	snprintf(out, PG_KEY_TEXT, MARK "%s\n", b64);
}

/* True when the public half is the secret's: what it signs can be verified. */
static bool fits(const struct pg_keys *keys)
{
	struct pg_statement st = { .purpose = PG_PURPOSE_READ };
	uint8_t sig[PG_SIG_BYTES];
	memcpy(st.laptop_key, keys->pub, sizeof(st.laptop_key));
	pg_statement_sign(&st, PG_ROLE_LAPTOP, keys, sig);
	return pg_statement_verify(&st, PG_ROLE_LAPTOP, sig) == 0;
}

int pg_keys_parse(const char *text, struct pg_keys *out)
{
	struct pg_keys k;
	char b64[SECRET_B64 + 1];
	const size_t mark = strlen(MARK);
	if (strlen(text) != mark + SECRET_B64 + 1 || memcmp(text, MARK, mark) != 0 ||
	    text[mark + SECRET_B64] != '\n')
		return -EINVAL;
	memcpy(b64, text + mark, SECRET_B64);
	b64[SECRET_B64] = '\0';
	if (pg_b64_decode(b64, k.secret, sizeof(k.secret)) < 0)
		return -EINVAL;
	/* libsodium keeps the public half behind the seed (crypto_sign_SECRETKEYBYTES). */
	memcpy(k.pub, k.secret + PG_SECRET_BYTES - PG_KEY_BYTES, sizeof(k.pub));
	if (!fits(&k))
		return -EINVAL;
	*out = k;
	return 0;
}

int pg_keys_read(const char *dir, struct pg_keys *out, struct pg_err *err)
{
	char *text = NULL;
	size_t n = 0;
	int rc = pg_state_read(dir, "key", PG_KEY_TEXT, &text, &n, err);
	if (rc < 0)
		return rc;
	rc = pg_keys_parse(text, out);
	free(text);
	if (rc == 0)
		return 0;
	pg_fail(err, rc, "%s/key holds no key of podgraft", dir);
	pg_hint(err, PG_LOCAL, "move it away: a new one is made, and pods are grafted anew");
	return rc;
}

int pg_keys_load(const char *dir, struct pg_keys *out, struct pg_err *err)
{
	int rc = pg_keys_read(dir, out, err);
	if (rc != -ENOENT)
		return rc;
	pg_auto_close int lock = pg_state_lock(dir, err);
	if (lock < 0)
		return lock;
	rc = pg_keys_read(dir, out, err); /* somebody may have been faster */
	if (rc != -ENOENT)
		return rc;
	struct pg_keys made;
	char text[PG_KEY_TEXT];
	pg_keys_make(&made);
	pg_keys_format(&made, text);
	rc = pg_state_write(dir, "key", text, strlen(text), err);
	if (rc < 0)
		return rc;
	*out = made;
	if (err)
		*err = (struct pg_err){ .code = 0 };
	return 0;
}
