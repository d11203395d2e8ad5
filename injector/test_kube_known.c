#include "injector/kube_known.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "injector/kube_json.h"
#include "proto/base/mem.h"

/* A pod in few letters: "a1" is pod "a" in version 1, of uid "a"; '-' before it: deleted. */
static json_t *pod_of(const char *letters)
{
	return json_pack("{s:{s:s%, s:s%, s:s}}", "metadata", "name", letters, (size_t)1, "uid",
			 letters, (size_t)1, "resourceVersion", letters + 1);
}

static void hear_all(json_t *known, const char *letters)
{
	for (; *letters; letters += strcspn(letters, " "), letters += *letters == ' ') {
		bool is_gone = *letters == '-';
		char one[8] = "";
		letters += is_gone;
		memcpy(one, letters, 2);
		json_t *pod = pod_of(one);
		pg_kube_known_hear(known, pod, is_gone);
		json_decref(pod);
	}
}

static json_t *list_of(const char *letters)
{
	json_t *list = json_array();
	for (; *letters; letters += 2, letters += *letters == ' ') {
		char one[8] = "";
		memcpy(one, letters, 2);
		json_array_append_new(list, pod_of(one));
	}
	return list;
}

static void names_of(const json_t *list, char *out, size_t room)
{
	size_t n = 0;
	out[0] = '\0';
	for (size_t i = 0; i < json_array_size(list); i++)
		n += (size_t)snprintf(out + n, room - n, "%s",
				      pg_json_str(json_array_get(list, i), "metadata.name"));
}

struct list_case {
	const char *name;
	const char *heard, *list;
	const char *changed, *gone;
};
static struct list_case cases[] = {
	{ "the first list is all news", "", "a1 b2", "ab", "" },
	{ "nothing new after a watch that missed nothing", "a1 b2", "a1 b2", "", "" },
	{ "a pod that is left out is gone", "a1 b2 c3", "a1 c3", "", "b" },
	{ "all are gone", "a1 b2", "", "", "ab" },
	{ "one changed, one came, one went", "a1 b2", "a4 c5", "ac", "b" },
	{ "what the watch told is known in its last version", "a1 a3 b2", "a3 b2", "", "" },
	{ "what the watch said is gone is not gone twice", "a1 b2 -b2", "a1", "", "" },
	{ "deleted and made anew meanwhile", "a1 -a1", "a7", "a", "" },
};

static void compares(void **state)
{
	const struct list_case *c = *state;
	json_t *known = pg_kube_known_new(), *items = list_of(c->list);
	json_t *changed = json_array(), *gone = json_array();
	char names[32];
	hear_all(known, c->heard);
	bool is_news = pg_kube_known_list(known, items, changed, gone);
	names_of(changed, names, sizeof(names));
	assert_string_equal(names, c->changed);
	names_of(gone, names, sizeof(names));
	assert_string_equal(names, c->gone);
	assert_int_equal(is_news, c->changed[0] || c->gone[0]);
	json_array_clear(changed);
	json_array_clear(gone);
	assert_false(pg_kube_known_list(known, items, changed, gone)); /* now it is known */
	json_decref(known);
	json_decref(items);
	json_decref(changed);
	json_decref(gone);
}

static void what_is_no_pod_is_passed_over(void **state)
{
	json_t *known = pg_kube_known_new(), *changed = json_array(), *gone = json_array();
	json_t *items = json_pack("[{}, n, i, {s:{s:i}}, {s:{s:s}}]", 7, "metadata", "uid", 7,
				  "metadata", "uid", "a");
	(void)state;
	assert_true(pg_kube_known_list(known, items, changed, gone));
	assert_int_equal(json_array_size(changed), 1);
	pg_kube_known_hear(known, NULL, true);
	pg_kube_known_hear(known, json_array_get(items, 3), false);
	assert_int_equal(json_object_size(known), 1);
	json_decref(known);
	json_decref(items);
	json_decref(changed);
	json_decref(gone);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 1] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, compares, NULL, NULL, &cases[i] };
	tests[PG_LEN(cases)] = (struct CMUnitTest)cmocka_unit_test(what_is_no_pod_is_passed_over);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
