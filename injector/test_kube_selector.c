#include "injector/kube_selector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "injector/kube_json.h"

struct selector_case {
	const char *name;
	int is_map;
	const char *json; /* ' for " */
	int want;
	const char *text;
};
static struct selector_case cases[] = {
	{ "labels", 0, "{'matchLabels':{'app':'web','tier':'front'}}", 0, "app=web,tier=front" },
	{ "expressions", 0,
	  "{'matchExpressions':[{'key':'a','operator':'In','values':['x','y']},"
	  "{'key':'b','operator':'NotIn','values':['z']},{'key':'c','operator':'Exists'},"
	  "{'key':'d','operator':'DoesNotExist'}]}",
	  0, "a in (x,y),b notin (z),c,!d" },
	{ "both", 0,
	  "{'matchExpressions':[{'key':'c','operator':'Exists'}],'matchLabels':{'a':'b'}}", 0,
	  "a=b,c" },
	{ "an empty object selects all", 0, "{}", 0, "" },
	{ "null selects nothing", 0, "null", -ENOENT, NULL },
	{ "an unknown operator", 0, "{'matchExpressions':[{'key':'a','operator':'Gt'}]}", -EPROTO,
	  NULL },
	{ "an expression without key", 0, "{'matchExpressions':[{'operator':'Exists'}]}", -EPROTO,
	  NULL },
	{ "a label that is a number", 0, "{'matchLabels':{'a':7}}", -EPROTO, NULL },
	{ "a set of numbers", 0, "{'matchExpressions':[{'key':'a','operator':'In','values':[1]}]}",
	  -EPROTO, NULL },
	{ "a map", 1, "{'app':'web','tier':'front'}", 0, "app=web,tier=front" },
	{ "an empty map selects nothing", 1, "{}", -ENOENT, NULL },
	{ "no map", 1, "null", -ENOENT, NULL },
};

static void writes(void **state)
{
	const struct selector_case *c = *state;
	struct pg_buf text = PG_BUF_INIT(256);
	char json[300];
	snprintf(json, sizeof(json), "{'s':%s}", c->json);
	for (char *s = json; *s; s++)
		*s = *s == '\'' ? '"' : *s;
	json_t *o = pg_json_parse(json, strlen(json), NULL);
	assert_non_null(o);
	int (*write)(const json_t *, struct pg_buf *) =
		c->is_map ? pg_kube_selector_map : pg_kube_selector_object;
	assert_int_equal(write(pg_json_at(o, "s"), &text), c->want);
	if (c->want == 0)
		assert_string_equal(pg_buf_str(&text), c->text);
	json_decref(o);
	pg_buf_fini(&text);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases)] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, writes, NULL, NULL, &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
