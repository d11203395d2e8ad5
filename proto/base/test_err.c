#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/base/err.h"

static void the_errno_speaks_where_the_text_does_not(void **state)
{
	(void)state;
	struct pg_err err = { .hint = "of a former failure" };
	assert_int_equal(pg_fail(&err, -ENOENT, "open %s", "/x"), -ENOENT);
	assert_string_equal(err.what, "open /x: No such file or directory");
	assert_int_equal(err.code, -ENOENT);
	assert_int_equal(err.whose, PG_US);
	assert_string_equal(err.hint, "");
	pg_fail(&err, -EIO, "the pod is gone.");
	assert_string_equal(err.what, "the pod is gone");
	pg_fail(&err, -EPROTO, "frame of type %d", 9);
	assert_string_equal(err.what, "frame of type 9");
	pg_fail(&err, -EINVAL, "port 'x' is no number");
	assert_string_equal(err.what, "port 'x' is no number");
}

static void a_name_that_ends_in_a_dot_is_no_sentence(void **state)
{
	(void)state;
	struct pg_err err;
	pg_fail(&err, -ENOENT, "look up %s", "web.example.");
	assert_string_equal(err.what, "look up web.example.: No such file or directory");
}

static void context_goes_in_front(void **state)
{
	(void)state;
	struct pg_err err;
	pg_fail(&err, -EBUSY, "add the rule");
	assert_int_equal(pg_wrap(&err, "redirect %d", 80), -EBUSY);
	assert_string_equal(err.what, "redirect 80: add the rule: Device or resource busy");
	assert_int_equal(pg_hint(&err, PG_TARGET, "try port %d", 81), -EBUSY);
	assert_string_equal(err.hint, "try port 81");
	assert_int_equal(err.whose, PG_TARGET);
	assert_int_equal(pg_blame(&err, PG_LINK), -EBUSY);
	assert_int_equal(err.whose, PG_LINK);
	assert_string_equal(err.hint, "try port 81");
}

static void long_texts_are_cut_at_their_end(void **state)
{
	(void)state;
	struct pg_err err;
	char text[2 * sizeof(err.what)];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	pg_fail(&err, -EIO, "%s", text);
	assert_int_equal(strlen(err.what), sizeof(err.what) - 1);
	pg_wrap(&err, "outer");
	assert_int_equal(strlen(err.what), sizeof(err.what) - 1);
	assert_memory_equal(err.what, "outer: xxx", 10);
	pg_hint(&err, PG_US, "%s", text);
	assert_int_equal(strlen(err.hint), sizeof(err.hint) - 1);
}

static void nobody_has_to_ask_for_words(void **state)
{
	(void)state;
	assert_int_equal(pg_fail(NULL, -ENOMEM, "anything"), -ENOMEM);
	assert_int_equal(pg_wrap(NULL, "anything"), -EIO);
	assert_int_equal(pg_hint(NULL, PG_US, "anything"), -EIO);
	assert_int_equal(pg_blame(NULL, PG_US), -EIO);
}

static void exit_codes_are_stable(void **state)
{
	(void)state;
	static const struct {
		enum pg_whose whose;
		int exit;
		const char *name;
	} classes[PG_WHOSE_COUNT] = {
		{ PG_US, 1, "internal" },   { PG_USER, 2, "usage" }, { PG_CLUSTER, 3, "cluster" },
		{ PG_TARGET, 4, "target" }, { PG_LINK, 5, "link" },  { PG_LOCAL, 6, "local" },
	};
	for (size_t i = 0; i < PG_WHOSE_COUNT; i++) {
		struct pg_err err = { .code = -EIO, .whose = (int)classes[i].whose };
		assert_int_equal(pg_err_exit(&err), classes[i].exit);
		assert_string_equal(pg_whose_name(classes[i].whose), classes[i].name);
	}
	assert_int_equal(pg_err_exit(&(struct pg_err){ .whose = PG_LINK }), 0);
}

static struct text_case {
	const char *name, *text, *want;
} texts[] = {
	{ "sanitize: plain text", "web-0\tready", "web-0\tready" },
	{ "sanitize: empty", "", "" },
	{ "sanitize: an escape sequence", "a\x1b[2Jb", "a?[2Jb" },
	{ "sanitize: newline, carriage return, bell", "a\n\r\ab", "a???b" },
	{ "sanitize: DEL", "a\x7f", "a?" },
	{ "sanitize: C1 in UTF-8",
	  "a\xc2\x9b"
	  "31m",
	  "a??31m" },
	{ "sanitize: C1 as a byte",
	  "a\x9b"
	  "31m",
	  "a?31m" },
	{ "sanitize: other letters stay", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
	  "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80" },
	{ "sanitize: a no-break space stays", "a\xc2\xa0z", "a\xc2\xa0z" },
	{ "sanitize: overlong escape", "\xc0\x9b\xe0\x80\x9b", "?????" },
	{ "sanitize: cut in a sequence", "a\xe2\x82", "a??" },
};

static void sanitizes(void **state)
{
	const struct text_case *c = *state;
	char text[64];
	assert_true(strlen(c->text) < sizeof(text));
	memcpy(text, c->text, strlen(c->text) + 1);
	pg_sanitize(text);
	assert_string_equal(text, c->want);
}

int main(void)
{
	struct CMUnitTest tests[6 + PG_LEN(texts)] = {
		cmocka_unit_test(the_errno_speaks_where_the_text_does_not),
		cmocka_unit_test(a_name_that_ends_in_a_dot_is_no_sentence),
		cmocka_unit_test(context_goes_in_front),
		cmocka_unit_test(long_texts_are_cut_at_their_end),
		cmocka_unit_test(nobody_has_to_ask_for_words),
		cmocka_unit_test(exit_codes_are_stable),
	};
	for (size_t i = 0; i < PG_LEN(texts); i++)
		tests[6 + i] =
			(struct CMUnitTest){ texts[i].name, sanitizes, NULL, NULL, &texts[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
