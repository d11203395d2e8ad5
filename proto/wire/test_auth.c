#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "proto/base/auto.h"
#include "proto/wire/auth.h"

/* A statement whose keys we hold, with values that differ in every field. */
struct proof {
	struct pg_keys laptop, agent;
	struct pg_statement st;
	uint8_t sig[PG_SIG_BYTES];
};

static void make_proof(struct proof *p, enum pg_role role)
{
	assert_int_equal(pg_auth_init(), 0);
	memset(p, 0, sizeof(*p));
	pg_keys_make(&p->laptop);
	pg_keys_make(&p->agent);
	struct pg_statement *st = &p->st;
	st->purpose = PG_PURPOSE_LINK;
	snprintf(st->pod_uid, sizeof(st->pod_uid), "0e3c7c0b-4e0d-4a58-9c3c-0a1b2c3d4e5f");
	snprintf(st->container, sizeof(st->container), "podgraft-x7k2q");
	memcpy(st->laptop_key, p->laptop.pub, PG_KEY_BYTES);
	memcpy(st->agent_key, p->agent.pub, PG_KEY_BYTES);
	pg_random(st->laptop_nonce, PG_NONCE_BYTES);
	pg_random(st->agent_nonce, PG_NONCE_BYTES);
	snprintf(st->laptop_version, sizeof(st->laptop_version), "0.1.0");
	snprintf(st->agent_version, sizeof(st->agent_version), "0.2.0-rc.1+5");
	pg_random(st->session, PG_SESSION_BYTES);
	pg_statement_sign(st, role, role == PG_ROLE_LAPTOP ? &p->laptop : &p->agent, p->sig);
}

static void each_role_verifies_only_as_itself(void **state)
{
	(void)state;
	struct proof p;
	make_proof(&p, PG_ROLE_LAPTOP);
	assert_int_equal(pg_statement_verify(&p.st, PG_ROLE_LAPTOP, p.sig), 0);
	assert_int_equal(pg_statement_verify(&p.st, PG_ROLE_AGENT, p.sig), -EACCES);
	make_proof(&p, PG_ROLE_AGENT);
	assert_int_equal(pg_statement_verify(&p.st, PG_ROLE_AGENT, p.sig), 0);
	assert_int_equal(pg_statement_verify(&p.st, PG_ROLE_LAPTOP, p.sig), -EACCES);
}

/* Also when one key serves both ends: the role is part of what is signed. */
static void roles_do_not_mix_under_one_key(void **state)
{
	(void)state;
	struct proof p;
	make_proof(&p, PG_ROLE_LAPTOP);
	memcpy(p.st.agent_key, p.laptop.pub, PG_KEY_BYTES);
	pg_statement_sign(&p.st, PG_ROLE_LAPTOP, &p.laptop, p.sig);
	assert_int_equal(pg_statement_verify(&p.st, PG_ROLE_LAPTOP, p.sig), 0);
	assert_int_equal(pg_statement_verify(&p.st, PG_ROLE_AGENT, p.sig), -EACCES);
}

static void every_field_is_signed(void **state)
{
	(void)state;
	struct proof p;
	make_proof(&p, PG_ROLE_LAPTOP);
	struct pg_statement *st = &p.st;
	struct {
		void *at;
		size_t n;
	} fields[] = {
		{ st->pod_uid, strlen(st->pod_uid) },
		{ st->container, strlen(st->container) },
		{ st->laptop_key, PG_KEY_BYTES },
		{ st->agent_key, PG_KEY_BYTES },
		{ st->laptop_nonce, PG_NONCE_BYTES },
		{ st->agent_nonce, PG_NONCE_BYTES },
		{ st->laptop_version, strlen(st->laptop_version) },
		{ st->agent_version, strlen(st->agent_version) },
		{ st->session, PG_SESSION_BYTES },
	};
	for (size_t i = 0; i < PG_LEN(fields); i++) {
		for (size_t byte = 0; byte < fields[i].n; byte++) {
			((uint8_t *)fields[i].at)[byte] ^= 1;
			assert_int_equal(pg_statement_verify(st, PG_ROLE_LAPTOP, p.sig), -EACCES);
			((uint8_t *)fields[i].at)[byte] ^= 1;
		}
	}
	st->purpose = PG_PURPOSE_READ;
	assert_int_equal(pg_statement_verify(st, PG_ROLE_LAPTOP, p.sig), -EACCES);
	st->purpose = PG_PURPOSE_LINK;
	assert_int_equal(pg_statement_verify(st, PG_ROLE_LAPTOP, p.sig), 0);
}

/* The same bytes in a row, cut elsewhere, are another statement. */
static void strings_do_not_run_together(void **state)
{
	(void)state;
	struct proof p;
	make_proof(&p, PG_ROLE_LAPTOP);
	snprintf(p.st.pod_uid, sizeof(p.st.pod_uid), "ab");
	snprintf(p.st.container, sizeof(p.st.container), "c");
	pg_statement_sign(&p.st, PG_ROLE_LAPTOP, &p.laptop, p.sig);
	snprintf(p.st.pod_uid, sizeof(p.st.pod_uid), "a");
	snprintf(p.st.container, sizeof(p.st.container), "bc");
	assert_int_equal(pg_statement_verify(&p.st, PG_ROLE_LAPTOP, p.sig), -EACCES);
}

static void authorization_survives_the_trip(void **state)
{
	(void)state;
	struct proof p;
	make_proof(&p, PG_ROLE_LAPTOP);
	char text[PG_AUTHZ_MAX];
	pg_authz_format(&p.st, p.sig, text);
	struct pg_statement got = p.st;
	uint8_t sig[PG_SIG_BYTES];
	memset(got.laptop_key, 0, PG_KEY_BYTES);
	memset(got.laptop_nonce, 0, PG_NONCE_BYTES);
	memset(got.agent_nonce, 0, PG_NONCE_BYTES);
	memset(got.laptop_version, 0, sizeof(got.laptop_version));
	memset(got.session, 0, PG_SESSION_BYTES);
	assert_int_equal(pg_authz_parse(text, &got, sig), 0);
	assert_memory_equal(sig, p.sig, PG_SIG_BYTES);
	assert_int_equal(pg_statement_verify(&got, PG_ROLE_LAPTOP, sig), 0);
}

/* No prefix, no suffix and no changed character that would parse to the same thing unnoticed. */
static void authorization_is_parsed_exactly(void **state)
{
	(void)state;
	struct proof p;
	make_proof(&p, PG_ROLE_LAPTOP);
	char text[PG_AUTHZ_MAX + 1], cut[PG_AUTHZ_MAX];
	pg_authz_format(&p.st, p.sig, text);
	struct pg_statement got = p.st;
	uint8_t sig[PG_SIG_BYTES] = { 0 };
	for (size_t n = 0; n < strlen(text); n++) {
		memcpy(cut, text, n);
		cut[n] = '\0';
		assert_int_equal(pg_authz_parse(cut, &got, sig), -EINVAL);
	}
	text[strlen(text) + 1] = '\0';
	text[strlen(text)] = ' ';
	assert_int_equal(pg_authz_parse(text, &got, sig), -EINVAL);
	assert_memory_equal(&got, &p.st, sizeof(got));
	for (size_t i = 0; i < sizeof(sig); i++)
		assert_int_equal(sig[i], 0);
}

/* The example of docs/protocol.md, "Proof": the text of its block `name`. */
static void read_block(const char *name, char *out, size_t size)
{
	static char doc[64 * 1024];
	char lead[32];
	FILE *file = fopen("../../docs/protocol.md", "re");
	assert_non_null(file);
	size_t n = fread(doc, 1, sizeof(doc) - 1, file);
	fclose(file);
	doc[n] = '\0';
	snprintf(lead, sizeof(lead), "\n```%s\n", name);
	const char *start = strstr(doc, lead);
	assert_non_null(start);
	start += strlen(lead);
	const char *end = strstr(start, "\n```");
	assert_true(end && (size_t)(end - start) < size);
	memcpy(out, start, (size_t)(end - start));
	out[end - start] = '\0';
}

static unsigned digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = strchr(digits, c);
	assert_true(at && c);
	return (unsigned)(at - digits);
}

/* Reads the next line's bytes, "name:   hex"; NULL at the end. */
static const char *hex_line(const char *line, uint8_t *out, size_t size, size_t *n_out)
{
	const char *at = *line ? strchr(line, ':') + 1 : NULL;
	if (!at)
		return NULL;
	at += strspn(at, " ");
	for (*n_out = 0; isxdigit((unsigned char)*at); at += 2) {
		assert_true(*n_out < size);
		out[(*n_out)++] = (uint8_t)(digit(at[0]) << 4 | digit(at[1]));
	}
	return at + strspn(at, "\n");
}

/* The fields of the documented statement, in the order of the document. */
enum {
	DOMAIN,
	ROLE,
	PURPOSE,
	POD,
	CONTAINER,
	LAPTOP_KEY,
	AGENT_KEY,
	LAPTOP_NONCE,
	AGENT_NONCE,
	LAPTOP_VERSION,
	AGENT_VERSION,
	SESSION,
	FIELDS
};

static void the_documented_example_holds(void **state)
{
	(void)state;
	static char text[4096];
	uint8_t fields[FIELDS][64] = { 0 }, image[PG_STATEMENT_MAX];
	uint8_t signed_bytes[PG_STATEMENT_MAX], sig[PG_SIG_BYTES];
	size_t lengths[FIELDS] = { 0 }, image_len = 0;
	struct pg_statement st = { .purpose = PG_PURPOSE_LINK };
	read_block("statement", text, sizeof(text));
	const char *line = text;
	for (int i = 0; i < FIELDS; i++) {
		line = hex_line(line, fields[i], sizeof(fields[i]), &lengths[i]);
		assert_non_null(line);
		memcpy(image + image_len, fields[i], lengths[i]);
		image_len += lengths[i];
	}
	assert_string_equal(line, "");
	memcpy(st.pod_uid, fields[POD] + 1, fields[POD][0]);
	memcpy(st.container, fields[CONTAINER] + 1, fields[CONTAINER][0]);
	memcpy(st.agent_version, fields[AGENT_VERSION] + 1, fields[AGENT_VERSION][0]);
	memcpy(st.agent_key, fields[AGENT_KEY], PG_KEY_BYTES);

	read_block("authorization", text, sizeof(text));
	assert_int_equal(pg_authz_parse(text, &st, sig), 0);
	assert_memory_equal(st.laptop_key, fields[LAPTOP_KEY], PG_KEY_BYTES);
	assert_memory_equal(st.laptop_nonce, fields[LAPTOP_NONCE], PG_NONCE_BYTES);
	assert_memory_equal(st.agent_nonce, fields[AGENT_NONCE], PG_NONCE_BYTES);
	assert_memory_equal(st.session, fields[SESSION], PG_SESSION_BYTES);
	assert_int_equal(pg_statement_verify(&st, PG_ROLE_LAPTOP, sig), 0);
	assert_int_equal(pg_statement_bytes(&st, PG_ROLE_LAPTOP, signed_bytes), image_len);
	assert_memory_equal(signed_bytes, image, image_len);

	read_block("agent-proof", text, sizeof(text));
	assert_int_equal(pg_b64_decode(text, sig, sizeof(sig)), 0);
	assert_int_equal(pg_statement_verify(&st, PG_ROLE_AGENT, sig), 0);
}

#define K32 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define K16 "AAAAAAAAAAAAAAAAAAAAAA=="
#define SIG \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
#define V33 "0123456789012345678901234567890.2"

static struct authz_case {
	const char *name, *text;
	int want;
} cases[] = {
	{ "authorization: complete",
	  "Podgraft key=\"" K32 "\",nonce=\"" K32 "\",agent-nonce=\"" K32
	  "\",version=\"0.1.0\",session=\"" K16 "\",sig=\"" SIG "\"",
	  0 },
	{ "authorization: another scheme", "Bearer " K32, -EINVAL },
	{ "authorization: lower case scheme",
	  "podgraft key=\"" K32 "\",nonce=\"" K32 "\",agent-nonce=\"" K32
	  "\",version=\"0.1.0\",session=\"" K16 "\",sig=\"" SIG "\"",
	  -EINVAL },
	{ "authorization: fields in another order",
	  "Podgraft nonce=\"" K32 "\",key=\"" K32 "\",agent-nonce=\"" K32
	  "\",version=\"0.1.0\",session=\"" K16 "\",sig=\"" SIG "\"",
	  -EINVAL },
	{ "authorization: a key too short",
	  "Podgraft key=\"" K16 "\",nonce=\"" K32 "\",agent-nonce=\"" K32
	  "\",version=\"0.1.0\",session=\"" K16 "\",sig=\"" SIG "\"",
	  -EINVAL },
	{ "authorization: a key too long",
	  "Podgraft key=\"" SIG "\",nonce=\"" K32 "\",agent-nonce=\"" K32
	  "\",version=\"0.1.0\",session=\"" K16 "\",sig=\"" SIG "\"",
	  -EINVAL },
	{ "authorization: no version",
	  "Podgraft key=\"" K32 "\",nonce=\"" K32 "\",agent-nonce=\"" K32
	  "\",version=\"\",session=\"" K16 "\",sig=\"" SIG "\"",
	  -EINVAL },
	{ "authorization: a version too long",
	  "Podgraft key=\"" K32 "\",nonce=\"" K32 "\",agent-nonce=\"" K32 "\",version=\"" V33
	  "\",session=\"" K16 "\",sig=\"" SIG "\"",
	  -EINVAL },
	{ "authorization: a version with a space",
	  "Podgraft key=\"" K32 "\",nonce=\"" K32 "\",agent-nonce=\"" K32
	  "\",version=\"0 1\",session=\"" K16 "\",sig=\"" SIG "\"",
	  -EINVAL },
	{ "authorization: empty", "", -EINVAL },
};

static void parses_authorization(void **state)
{
	const struct authz_case *c = *state;
	struct pg_statement st = { .purpose = PG_PURPOSE_LINK };
	uint8_t sig[PG_SIG_BYTES];
	assert_int_equal(pg_authz_parse(c->text, &st, sig), c->want);
}

static struct b64_case {
	const char *name, *text;
	size_t n;
	int want;
} b64_cases[] = {
	{ "base64: RFC 4648 vector", "Zm9vYmE=", 5, 0 },
	{ "base64: nothing", "", 0, 0 },
	{ "base64: another length", "Zm9vYmE=", 6, -EINVAL },
	{ "base64: no padding", "Zm9vYmE", 5, -EINVAL },
	{ "base64: too much padding", "Zm9vYmE==", 5, -EINVAL },
	{ "base64: stray bits in the last digit", "Zm9vYmF=", 5, -EINVAL },
	{ "base64: white space", "Zm9v YmE=", 5, -EINVAL },
	{ "base64: a byte above 0x7f", "Zm9v\xb6mE=", 5, -EINVAL },
	{ "base64: the URL alphabet", "-_-_", 3, -EINVAL },
	{ "base64: longer than anything we take", SIG SIG, PG_SIG_BYTES, -EINVAL },
};

static void decodes_base64(void **state)
{
	const struct b64_case *c = *state;
	uint8_t out[PG_SIG_BYTES];
	char again[PG_B64_SIG];
	memset(out, 0xaa, sizeof(out));
	assert_int_equal(pg_b64_decode(c->text, out, c->n), c->want);
	if (c->want < 0) {
		assert_int_equal(out[0], 0xaa);
		return;
	}
	pg_b64_encode(out, c->n, again);
	assert_string_equal(again, c->text);
}

int main(void)
{
	struct CMUnitTest tests[7 + PG_LEN(cases) + PG_LEN(b64_cases)] = {
		cmocka_unit_test(each_role_verifies_only_as_itself),
		cmocka_unit_test(roles_do_not_mix_under_one_key),
		cmocka_unit_test(every_field_is_signed),
		cmocka_unit_test(strings_do_not_run_together),
		cmocka_unit_test(authorization_survives_the_trip),
		cmocka_unit_test(authorization_is_parsed_exactly),
		cmocka_unit_test(the_documented_example_holds),
	};
	struct CMUnitTest *t = tests + 7;
	for (size_t i = 0; i < PG_LEN(cases); i++)
		*t++ = (struct CMUnitTest){ cases[i].name, parses_authorization, NULL, NULL,
					    &cases[i] };
	for (size_t i = 0; i < PG_LEN(b64_cases); i++)
		*t++ = (struct CMUnitTest){ b64_cases[i].name, decodes_base64, NULL, NULL,
					    &b64_cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
