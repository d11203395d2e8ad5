#include "injector/credential.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/base/mem.h"

struct credential_case {
	const char *name, *line;
	int want;
	const char *token, *key;
	int64_t expires_s;
	unsigned number;
};
static struct credential_case cases[] = {
	{ "a token", "{\"credential\":{\"token\":\"t\",\"expires\":7,\"number\":2}}", 0, "t", NULL,
	  7, 2 },
	{ "a certificate",
	  "{\"credential\":{\"certificate\":\"c\",\"key\":\"k\",\"expires\":7,\"number\":1}}", 0,
	  NULL, "k", 7, 1 },
	{ "a failure", "{\"failure\":{\"message\":\"no.\",\"hint\":\"try\"}}", -EPERM, NULL, NULL,
	  0, 0 },
	{ "no number", "{\"credential\":{\"token\":\"t\"}}", -EPROTO, NULL, NULL, 0, 0 },
	{ "number 0", "{\"credential\":{\"token\":\"t\",\"number\":0}}", -EPROTO, NULL, NULL, 0,
	  0 },
	{ "a number beyond the range", "{\"credential\":{\"token\":\"t\",\"number\":4294967296}}",
	  -EPROTO, NULL, NULL, 0, 0 },
	{ "nothing in it", "{\"credential\":{\"number\":1}}", -EPROTO, NULL, NULL, 0, 0 },
	{ "a certificate without a key", "{\"credential\":{\"certificate\":\"c\",\"number\":1}}",
	  -EPROTO, NULL, NULL, 0, 0 },
	{ "a key alone", "{\"credential\":{\"token\":\"t\",\"key\":\"k\",\"number\":1}}", -EPROTO,
	  NULL, NULL, 0, 0 },
	{ "another object", "{\"event\":\"ready\"}", -EPROTO, NULL, NULL, 0, 0 },
	{ "no object", "7", -EPROTO, NULL, NULL, 0, 0 },
	{ "no JSON", "{\"credential\":", -EPROTO, NULL, NULL, 0, 0 },
	{ "nothing", "", -EPROTO, NULL, NULL, 0, 0 },
};

static void expect_text(const char *got, const char *want)
{
	assert_int_equal(got == NULL, want == NULL);
	if (want)
		assert_string_equal(got, want);
}

static void decodes(void **state)
{
	const struct credential_case *c = *state;
	struct pg_exec_answer a = { .token = NULL };
	struct pg_err err = { .code = 0 };
	unsigned number = 0;
	assert_int_equal(pg_credential_parse(c->line, strlen(c->line), &a, &number, &err), c->want);
	expect_text(a.token, c->token);
	expect_text(a.key_pem, c->key);
	assert_int_equal(a.expires_s, c->expires_s);
	assert_int_equal(number, c->number);
	if (c->want == -EPERM) {
		assert_string_equal(err.what, "no credentials: no");
		assert_string_equal(err.hint, "try");
		assert_int_equal(err.whose, PG_CLUSTER);
	}
	pg_exec_answer_fini(&a);
}

static void what_is_written_is_read(void **state)
{
	char token[] = "a \"token\"", cert[] = "line\nline\n", key[] = "k";
	const struct pg_exec_answer a = { token, cert, key, INT64_MAX };
	struct pg_exec_answer back;
	struct pg_buf line = PG_BUF_INIT(1000), small = PG_BUF_INIT(10);
	unsigned number;
	(void)state;
	assert_int_equal(pg_credential_line(&a, 3, &line), 0);
	assert_ptr_equal(strchr(pg_buf_str(&line), '\n'), pg_buf_str(&line) + line.len - 1);
	assert_int_equal(pg_credential_parse(pg_buf_str(&line), line.len, &back, &number, NULL), 0);
	assert_string_equal(back.token, token);
	assert_string_equal(back.cert_pem, cert);
	assert_int_equal(back.expires_s, INT64_MAX);
	assert_int_equal(number, 3);
	assert_int_equal(pg_credential_line(&a, 3, &small), -ENOBUFS);
	pg_exec_answer_fini(&back);
	pg_buf_fini(&line);
	pg_buf_fini(&small);
}

static void a_failure_is_told_in_its_words(void **state)
{
	struct pg_err why, err = { .code = 0 };
	struct pg_exec_answer a;
	struct pg_buf line = PG_BUF_INIT(4000);
	unsigned number;
	(void)state;
	pg_fail(&why, -EIO, "credential plugin 'x': it failed with status 3\xff.");
	pg_hint(&why, PG_CLUSTER, "mend it");
	assert_int_equal(pg_credential_failure_line(&why, &line), 0);
	assert_int_equal(pg_credential_parse(pg_buf_str(&line), line.len, &a, &number, &err),
			 -EPERM);
	assert_string_equal(err.what,
			    "no credentials: credential plugin 'x': it failed with status 3?");
	assert_string_equal(err.hint, "mend it");
	pg_buf_fini(&line);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 2] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, decodes, NULL, NULL, &cases[i] };
	tests[PG_LEN(cases)] = (struct CMUnitTest)cmocka_unit_test(what_is_written_is_read);
	tests[PG_LEN(cases) + 1] =
		(struct CMUnitTest)cmocka_unit_test(a_failure_is_told_in_its_words);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
