#include "injector/process_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "proto/base/auto.h"
#include "proto/base/buf.h"

#define HEAD "    PID    PPID     UID  LISTENS                COMMAND\n"

#define FORTY  "0123456789012345678901234567890123456789"
#define SMILES "😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀" /* 30 */

static void keep(void *ctx, const char *line)
{
	pg_buf_addf(ctx, "%s\n", line);
}

static struct table_case {
	const char *name, *json, *want; /* behind the head */
} cases[] = {
	{ "a process and its sockets",
	  "{\"processes\":[{\"pid\":1,\"ppid\":0,\"uid\":33,\"command\":[\"nginx\",\"-g\"]}],"
	  "\"sockets\":[{\"protocol\":\"tcp\",\"address\":\"0.0.0.0\",\"port\":80,\"pid\":1},"
	  "{\"protocol\":\"udp\",\"address\":\"::\",\"port\":53,\"pid\":1}]}",
	  "      1       0      33  tcp 0.0.0.0:80, udp [::]:53 nginx -g\n" },
	{ "sockets of several, as they came",
	  "{\"processes\":[{\"pid\":2},{\"pid\":1}],\"sockets\":["
	  "{\"protocol\":\"tcp\",\"address\":\"a\",\"port\":3,\"pid\":1},"
	  "{\"protocol\":\"tcp\",\"address\":\"a\",\"port\":2,\"pid\":2},"
	  "{\"protocol\":\"tcp\",\"address\":\"a\",\"port\":1,\"pid\":1}]}",
	  "      2       0       0  tcp a:2                []\n"
	  "      1       0       0  tcp a:3, tcp a:1       []\n" },
	{ "sockets of nobody known",
	  "{\"processes\":[],\"sockets\":[{\"protocol\":\"tcp\",\"address\":\"a\",\"port\":1}]}",
	  "of processes that this agent cannot see: tcp a:1\n" },
	{ "a name for want of a command",
	  "{\"processes\":[{\"pid\":2,\"name\":\"kworker\",\"command\":[]}]}",
	  "      2       0       0  -                      [kworker]\n" },
	{ "a command that just fits",
	  "{\"processes\":[{\"pid\":2,\"command\":[\"java\",\"" FORTY "\",\"" FORTY
	  "\",\"33333333333333333333333333333333ü\"]}]}",
	  "      2       0       0  -                      java " FORTY " " FORTY
	  " 33333333333333333333333333333333ü\n" },
	{ "one that is cut",
	  "{\"processes\":[{\"pid\":2,\"command\":[\"java\",\"" FORTY "\",\"" FORTY
	  "\",\"33333333333333333333333333333333üx\"]}]}",
	  "      2       0       0  -                      java " FORTY " " FORTY
	  " 33333333333333333333333333333333…\n" },
	{ "one of the longest letters",
	  "{\"processes\":[{\"pid\":2,\"command\":[\"" SMILES SMILES SMILES SMILES SMILES "\"]}]}",
	  "      2       0       0  -                      " SMILES SMILES SMILES
	  "😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀…\n" },
	{ "names that would steer a terminal",
	  "{\"processes\":[{\"pid\":1,\"command\":[\"\\u001b[2J\",\"a\\nb\\u009b\"]}],"
	  "\"sockets\":[{\"protocol\":\"\\u0007\",\"address\":\"\\r\",\"port\":1,\"pid\":1}]}",
	  "      1       0       0  ? ?:1                  ?[2J a?b\?\?\n" },
	{ "members of other kinds",
	  "{\"processes\":[{\"pid\":\"1\",\"uid\":[],\"command\":[5,null,\"x\"]},[],\"\",7],"
	  "\"sockets\":{\"0\":1}}",
	  "      0       0       0  -                        x\n"
	  "      0       0       0  -                      []\n"
	  "      0       0       0  -                      []\n"
	  "      0       0       0  -                      []\n" },
	{ "an array instead of all that", "[1,2]", "" },
};

static void prints(void **state)
{
	const struct table_case *c = *state;
	struct pg_buf text = PG_BUF_INIT(64 << 10);
	json_t *root = json_loads(c->json, 0, NULL);
	assert_non_null(root);
	assert_int_equal(pg_process_table(root, keep, &text), 0);
	assert_memory_equal(pg_buf_str(&text), HEAD, strlen(HEAD));
	assert_string_equal(pg_buf_str(&text) + strlen(HEAD), c->want);
	pg_buf_fini(&text);
	json_decref(root);
}

static void count(void *ctx, const char *line)
{
	size_t *lines = ctx;
	assert_true(strlen(line) < 512);
	++*lines;
}

/* As much as fits into an answer, each process with all the sockets: seconds, not hours. */
static void a_hundred_thousand_of_each_are_printed_soon(void **state)
{
	json_t *root = json_pack("{s:[],s:[]}", "processes", "sockets");
	size_t lines = 0;
	(void)state;
	for (int i = 0; i < 100000; i++) {
		json_array_append_new(json_object_get(root, "processes"), json_object());
		json_array_append_new(json_object_get(root, "sockets"), json_object());
	}
	time_t began = time(NULL);
	assert_int_equal(pg_process_table(root, count, &lines), 0);
	assert_true(time(NULL) - began < 20);
	assert_int_equal(lines, 100002);
	json_decref(root);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 1] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, prints, NULL, NULL, &cases[i] };
	tests[PG_LEN(cases)] =
		(struct CMUnitTest)cmocka_unit_test(a_hundred_thousand_of_each_are_printed_soon);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
