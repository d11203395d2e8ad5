#include "injector/yaml_doc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/mem.h"

struct row {
	const char *name, *yaml;
	int code;
	const char *json; /* sorted, compact; or a part of the message */
};

static struct row rows[] = {
	{ "nothing", "", 0, NULL },
	{ "only a comment", "# nothing\n", 0, NULL },
	{ "text", "hello world", 0, "\"hello world\"" },
	{ "quoted number stays text", "a: '1'", 0, "{\"a\":\"1\"}" },
	{ "number", "a: 1\nb: -2.5\nc: 1e3", 0, "{\"a\":1,\"b\":-2.5,\"c\":1000.0}" },
	{ "what looks like a number", "a: 1.2.3\nb: 0123\nc: 12ab", 0,
	  "{\"a\":\"1.2.3\",\"b\":\"0123\",\"c\":\"12ab\"}" },
	{ "booleans of YAML 1.1", "[true, yes, On, false, NO, off]", 0,
	  "[true,true,true,false,false,false]" },
	{ "nulls", "a: ~\nb: null\nc:\n", 0, "{\"a\":null,\"b\":null,\"c\":null}" },
	{ "tagged text", "a: !!str true", 0, "{\"a\":\"true\"}" },
	{ "block text", "a: |\n  x\n  y\n", 0, "{\"a\":\"x\\ny\\n\"}" },
	{ "folded text", "a: >-\n  x\n  y\n", 0, "{\"a\":\"x y\"}" },
	{ "sequence in mapping", "a:\n- b: 1\n- c\n", 0, "{\"a\":[{\"b\":1},\"c\"]}" },
	{ "last key wins", "a: 1\na: 2", 0, "{\"a\":2}" },
	{ "alias", "a: &x {b: 1}\nc: *x", 0, "{\"a\":{\"b\":1},\"c\":{\"b\":1}}" },
	{ "merge key", "a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n", 0,
	  "{\"a\":{\"b\":1,\"c\":2},\"d\":{\"b\":1,\"c\":3}}" },
	{ "JSON", "{\"a\": [1, \"\\ud83d\\ude00\", null]}", 0,
	  "{\"a\":[1,\"\xf0\x9f\x98\x80\",null]}" },
	{ "JSON with tabs", "{\n\t\"a\":\ttrue\n}\n", 0, "{\"a\":true}" },
	{ "only the first document counts", "a: 1\n---\nb: 2\n", 0, "{\"a\":1}" },
	{ "alias without anchor", "a: *x", -EINVAL, "line 1: an alias" },
	{ "alias into itself", "a: &x [*x]", -EINVAL, "line 1: an alias" },
	{ "unbalanced", "a: [1, 2", -EINVAL, "line " },
	{ "tab as indentation", "a:\n\tb: 1", -EINVAL, "line 2: " },
	{ "mapping as key", "? {a: 1}\n: 2", -EINVAL, "line 1: a key must be text" },
	{ "merge of text", "a:\n  <<: text\n", -EINVAL, "line 2: '<<'" },
	{ "invalid UTF-8", "a: \xff", -EINVAL, "line 1" },
	{ "NUL in a key", "\"a\\0b\": 1", -EINVAL, "line 1: a key must be text" },
	{ "NUL in a text", "a: \"b\\0c\"", -EINVAL, "line 1: a text with a NUL in it" },
	{ "NUL in a text of JSON", "{\"a\": \"b\\u0000c\"}", -EINVAL, "line 1: a text with a NUL" },
	{ "many laughs",
	  "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
	  "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
	  "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
	  -E2BIG, "too many values" },
	{ "nested too deeply", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
	  -E2BIG, "nested too deeply" },
};

static void parses(void **state)
{
	const struct row *row = *state;
	struct pg_err err = { .code = 0 };
	json_t *value = NULL;
	int rc = pg_yaml_parse(row->yaml, strlen(row->yaml), &value, &err);
	if (rc < 0)
		print_message("%s\n", err.what);
	assert_int_equal(rc, row->code);
	if (rc < 0) {
		assert_null(value);
		assert_non_null(strstr(err.what, row->json));
		return;
	}
	if (!row->json) {
		assert_null(value);
		return;
	}
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
	assert_string_equal(text, row->json);
	free(text);
	json_decref(value);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(rows)];
	for (size_t i = 0; i < PG_LEN(rows); i++)
		tests[i] = (struct CMUnitTest){ rows[i].name, parses, NULL, NULL, &rows[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
