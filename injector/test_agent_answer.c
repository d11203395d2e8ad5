#include "injector/agent_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "proto/base/auto.h"

struct answer_case {
	const char *name, *text;
	int want, status;
	size_t body;
	const char *proof;
};

static struct answer_case answers[] = {
	{ "with a body", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", 1, 200, 4, "" },
	{ "names in any case", "HTTP/1.1 401 No\r\ncontent-length:2\r\n\r\n{}", 1, 401, 2, "" },
	{ "an upgrade with its proof", "HTTP/1.1 101 Switching\r\nPodgraft-Proof: QUJD\r\n\r\n", 1,
	  101, 0, "QUJD" },
	{ "bytes after an upgrade are not its body",
	  "HTTP/1.1 101 S\r\nContent-Length: 9\r\n\r\nlane", 1, 101, 0, "" },
	{ "no length is no body", "HTTP/1.1 204 None\r\n\r\n", 1, 204, 0, "" },
	{ "head not complete", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n", 0, 0, 0, "" },
	{ "body not complete", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbod", 0, 0, 0, "" },
	{ "nothing yet", "", 0, 0, 0, "" },
	{ "another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n", -EPROTO, 0, 0, "" },
	{ "no status", "HTTP/1.1 abc\r\n\r\n", -EPROTO, 0, 0, "" },
	{ "a status out of range", "HTTP/1.1 999 X\r\n\r\n", -EPROTO, 0, 0, "" },
	{ "a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", -EMSGSIZE, 0, 0,
	  "" },
	{ "a length over the cap", "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", -EMSGSIZE,
	  0, 0, "" },
	{ "a proof that is too long",
	  "HTTP/1.1 101 S\r\nPodgraft-Proof: "
	  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	  "A"
	  "AAAA\r\n\r\n",
	  -EPROTO, 0, 0, "" },
};

static void parses(void **state)
{
	const struct answer_case *c = *state;
	struct pg_agent_answer a = { 0 };
	assert_int_equal(pg_agent_answer_parse((const uint8_t *)c->text, strlen(c->text), &a),
			 c->want);
	assert_int_equal(a.status, c->status);
	assert_int_equal(a.body_len, c->body);
	assert_string_equal(a.proof, c->proof);
}

/* However it is cut, an answer is complete at its last byte and not before. */
static void every_prefix_wants_more(void **state)
{
	const char *text = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
	struct pg_agent_answer a;
	(void)state;
	for (size_t n = 0; n < strlen(text); n++)
		assert_int_equal(pg_agent_answer_parse((const uint8_t *)text, n, &a), 0);
}

static void an_empty_buffer_wants_more(void **state)
{
	struct pg_agent_answer a;
	(void)state;
	assert_int_equal(pg_agent_answer_parse(NULL, 0, &a), 0);
}

static void a_head_without_end_is_refused(void **state)
{
	static uint8_t endless[PG_ANSWER_HEAD_MAX + 1];
	struct pg_agent_answer a;
	(void)state;
	memset(endless, 'x', sizeof(endless));
	assert_int_equal(pg_agent_answer_parse(endless, PG_ANSWER_HEAD_MAX - 1, &a), 0);
	assert_int_equal(pg_agent_answer_parse(endless, sizeof(endless), &a), -EMSGSIZE);
}

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define GOOD                                                                                      \
	"{\"nonce\":\"" KEY "\",\"agent_key\":\"" KEY "\",\"pod_uid\":\"u\",\"container\":\"c\"," \
	"\"version\":\"0.1.0\",\"protocol\":1}"

struct challenge_case {
	const char *name, *json;
	int want;
};

static struct challenge_case challenges[] = {
	{ "complete", GOOD, 0 },
	{ "not JSON", "nonce", -EPROTO },
	{ "not an object", "[]", -EPROTO },
	{ "empty", "", -EPROTO },
	{ "without a nonce", "{\"agent_key\":\"" KEY "\"}", -EPROTO },
	{ "a nonce that is too short",
	  "{\"nonce\":\"AAEC\",\"agent_key\":\"" KEY
	  "\",\"pod_uid\":\"u\",\"container\":\"c\",\"version\":\"1\",\"protocol\":1}",
	  -EPROTO },
	{ "a protocol that is text",
	  "{\"nonce\":\"" KEY "\",\"agent_key\":\"" KEY
	  "\",\"pod_uid\":\"u\",\"container\":\"c\",\"version\":\"1\",\"protocol\":\"1\"}",
	  -EPROTO },
	{ "a name with a zero in it",
	  "{\"nonce\":\"" KEY "\",\"agent_key\":\"" KEY
	  "\",\"pod_uid\":\"u\\u0000v\",\"container\":\"c\",\"version\":\"1\",\"protocol\":1}",
	  -EPROTO },
};

static void reads_challenges(void **state)
{
	const struct challenge_case *c = *state;
	struct pg_challenge got = { .protocol = 7 };
	assert_int_equal(pg_challenge_parse(c->json, strlen(c->json), &got), c->want);
	assert_int_equal(got.protocol, c->want == 0 ? 1 : 7);
}

static void what_a_refusal_says_cannot_steer_a_terminal(void **state)
{
	const char *json = "{\"error\":\"no\\u001b[2J\",\"hint\":5}";
	char error[256], hint[256];
	(void)state;
	pg_refusal_parse(json, strlen(json), error, hint);
	assert_string_equal(error, "no?[2J");
	assert_string_equal(hint, "");
	pg_refusal_parse("<html>", 6, error, hint);
	assert_string_equal(error, "");
}

int main(void)
{
	enum { OTHERS = 4 };
	struct CMUnitTest tests[OTHERS + PG_LEN(answers) + PG_LEN(challenges)] = {
		cmocka_unit_test(every_prefix_wants_more),
		cmocka_unit_test(an_empty_buffer_wants_more),
		cmocka_unit_test(a_head_without_end_is_refused),
		cmocka_unit_test(what_a_refusal_says_cannot_steer_a_terminal),
	};
	size_t n = OTHERS;
	for (size_t i = 0; i < PG_LEN(answers); i++)
		tests[n++] =
			(struct CMUnitTest){ answers[i].name, parses, NULL, NULL, &answers[i] };
	for (size_t i = 0; i < PG_LEN(challenges); i++)
		tests[n++] = (struct CMUnitTest){ challenges[i].name, reads_challenges, NULL, NULL,
						  &challenges[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
