#include "injector/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "injector/state_dir.h"
#include "proto/base/auto.h"

static struct pg_state_agent agent(unsigned number)
{
	struct pg_state_agent a = {
		.cluster = "https://a:6443",
		.uid = "30eea69b-e675-4369-be87-d553f9409f37",
		.ns = "dev",
		.pod = "web-0",
		.image = "docker.io/podgraft/agent:0.1.0",
		.profile = PG_PROFILE_FORWARD,
		.port = 41873,
		.agent_key = { 1, 2, 3 },
		.created_s = 1795365971,
	};
	snprintf(a.container, sizeof(a.container), "podgraft-%05u", number);
	return a;
}

static void what_is_written_is_read(void **state)
{
	pg_auto_free struct pg_state *st = calloc(1, sizeof(*st));
	pg_auto_free struct pg_state *again = calloc(1, sizeof(*again));
	struct pg_state_refusal r = { "https://a:6443", "spdy", 12345678901 };
	struct pg_buf text = PG_BUF_INIT(PG_STATE_BYTES);
	struct pg_state_agent a = agent(1), b = agent(2);
	(void)state;
	b.missed_s = 1795365999;
	pg_state_put(st, &a);
	pg_state_put(st, &b);
	pg_state_refuse(st, &r);
	assert_int_equal(pg_state_format(st, &text), 0);
	assert_int_equal(pg_state_parse(pg_buf_str(&text), text.len, again), 0);
	assert_memory_equal(st, again, sizeof(*st));
	pg_buf_fini(&text);
}

#define AGENT                                                                   \
	"{\"cluster\":\"c\",\"uid\":\"u\",\"container\":\"n\",\"image\":\"i\"," \
	"\"profile\":\"redirect\",\"port\":1,\"agent_key\":"                    \
	"\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\",\"created\":1}"
struct text_case {
	const char *name, *text;
	int want;
};
static struct text_case texts[] = {
	{ "empty state", "{\"version\":1,\"agents\":[],\"refused\":[]}", 0 },
	{ "one agent", "{\"version\":1,\"agents\":[" AGENT "],\"refused\":[]}", 0 },
	{ "nothing", "", -EINVAL },
	{ "cut off", "{\"version\":1,\"agents\":[", -EINVAL },
	{ "another version", "{\"version\":2,\"agents\":[],\"refused\":[]}", -EINVAL },
	{ "no list", "{\"version\":1,\"agents\":{},\"refused\":[]}", -EINVAL },
	{ "an agent without members", "{\"version\":1,\"agents\":[{}],\"refused\":[]}", -EINVAL },
	{ "an agent that is a number", "{\"version\":1,\"agents\":[7],\"refused\":[]}", -EINVAL },
	{ "a name with a line break",
	  "{\"version\":1,\"agents\":[],\"refused\":[{\"cluster\":\"a\\nb\",\"transport\":\"spdy\","
	  "\"until\":1}]}",
	  -EINVAL },
	{ "a list", "[]", -EINVAL },
};

static void parses(void **state)
{
	const struct text_case *c = *state;
	pg_auto_free struct pg_state *st = calloc(1, sizeof(*st));
	assert_int_equal(pg_state_parse(c->text, strlen(c->text), st), c->want);
	if (c->want < 0)
		assert_int_equal(st->agent_count + st->refusal_count, 0);
}

static void the_oldest_goes_when_full(void **state)
{
	pg_auto_free struct pg_state *st = calloc(1, sizeof(*st));
	(void)state;
	for (unsigned i = 0; i < PG_STATE_AGENTS + 3; i++) {
		struct pg_state_agent a = agent(i);
		pg_state_put(st, &a);
	}
	assert_int_equal(st->agent_count, PG_STATE_AGENTS);
	assert_string_equal(st->agents[0].container, "podgraft-00003");
	struct pg_state_agent again = agent(5); /* the same agent anew: moves to the end */
	pg_state_put(st, &again);
	assert_int_equal(st->agent_count, PG_STATE_AGENTS);
	assert_string_equal(st->agents[st->agent_count - 1].container, "podgraft-00005");
	pg_state_drop(st, again.uid, "podgraft-00003");
	assert_int_equal(st->agent_count, PG_STATE_AGENTS - 1);
	assert_string_equal(st->agents[0].container, "podgraft-00004");
}

static void the_first_miss_counts(void **state)
{
	pg_auto_free struct pg_state *st = calloc(1, sizeof(*st));
	struct pg_state_agent a = agent(1), b = agent(2);
	(void)state;
	pg_state_put(st, &a);
	pg_state_put(st, &b);
	pg_state_miss(st, b.uid, b.container, 1000);
	pg_state_miss(st, b.uid, b.container, 2000);
	assert_int_equal(st->agents[0].missed_s, 0);
	assert_int_equal(st->agents[1].missed_s, 1000);
}

struct missed_case {
	const char *name;
	bool is_reached; /* two days after it was missed first, and missed again after six */
	int days;        /* after the first miss: it is asked then whether it is lost */
	bool want;
};
static struct missed_case missed[] = {
	{ "missed for less than seven days", false, 6, false },
	{ "missed for seven days", false, 7, true },
	{ "reached meanwhile", true, 7, false },
	{ "reached meanwhile, and missed for seven days since", true, 13, true },
};

static void it_is_lost_when_its_cluster_was_not_reached_for_a_week(void **state)
{
	enum { DAY_S = 24 * 60 * 60, FIRST_S = 1000 };
	const struct missed_case *c = *state;
	pg_auto_free struct pg_state *st = calloc(1, sizeof(*st));
	struct pg_state_agent a = agent(1), far = agent(2);
	snprintf(far.cluster, sizeof(far.cluster), "https://far:6443");
	pg_state_put(st, &a);
	pg_state_put(st, &far);
	assert_false(pg_state_is_lost(&st->agents[1], FIRST_S));
	pg_state_miss(st, far.uid, far.container, FIRST_S);
	pg_state_reached(st, a.cluster);
	assert_int_equal(st->agents[1].missed_s, FIRST_S);
	if (c->is_reached)
		pg_state_reached(st, far.cluster);
	pg_state_miss(st, far.uid, far.container, FIRST_S + 6 * DAY_S);
	assert_int_equal(pg_state_is_lost(&st->agents[1], FIRST_S + c->days * DAY_S), c->want);
}

static void refusals_last_their_time(void **state)
{
	pg_auto_free struct pg_state *st = calloc(1, sizeof(*st));
	struct pg_state_refusal r = { "https://a:6443", "spdy", 1000 };
	(void)state;
	pg_state_refuse(st, &r);
	assert_true(pg_state_refuses(st, "https://a:6443", "spdy", 999));
	assert_false(pg_state_refuses(st, "https://a:6443", "spdy", 1000));
	assert_false(pg_state_refuses(st, "https://a:6443", "spdy", 999 - PG_STATE_REFUSED_S));
	assert_false(pg_state_refuses(st, "https://a:6443", "tunnel", 999));
	assert_false(pg_state_refuses(st, "https://b:6443", "spdy", 999));
	r.until_s = 2000;
	pg_state_refuse(st, &r); /* replaces */
	assert_int_equal(st->refusal_count, 1);
	assert_true(pg_state_refuses(st, "https://a:6443", "spdy", 1500));
}

static int make_dir(void **state)
{
	char dir[] = "/tmp/podgraft-state-XXXXXX";
	*state = mkdtemp(dir) ? strdup(dir) : NULL;
	return *state ? 0 : -1;
}

static int drop_dir(void **state)
{
	char pattern[256];
	glob_t found;
	snprintf(pattern, sizeof(pattern), "%s/*", (char *)*state);
	if (glob(pattern, 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			unlink(found.gl_pathv[i]);
	globfree(&found);
	int rc = rmdir(*state);
	free(*state);
	return rc;
}

static void put(void *ctx, struct pg_state *st)
{
	pg_state_put(st, ctx);
}

static void many_at_once_lose_nothing(void **state)
{
	enum { AT_ONCE = 6, EACH = 10 };
	for (unsigned p = 0; p < AT_ONCE; p++) {
		if (fork() != 0)
			continue;
		for (unsigned i = 0; i < EACH; i++) {
			struct pg_state_agent a = agent(p * EACH + i);
			if (pg_state_change(*state, put, &a, NULL, NULL) < 0)
				_exit(1);
		}
		_exit(0);
	}
	for (int p = 0; p < AT_ONCE; p++) {
		int status;
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	pg_auto_free struct pg_state *st = pg_state_load(*state, NULL);
	assert_int_equal(st->agent_count, AT_ONCE * EACH);
}

static size_t count_files(const char *dir, const char *pattern)
{
	char path[256];
	glob_t found;
	snprintf(path, sizeof(path), "%s/%s", dir, pattern);
	size_t n = glob(path, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
	globfree(&found);
	return n;
}

static void a_damaged_file_is_kept_aside(void **state)
{
	struct pg_state_agent a = agent(1);
	assert_int_equal(pg_state_write(*state, "state.json", "{\"vers", 6, NULL), 0);
	pg_auto_free struct pg_state *st = pg_state_load(*state, NULL);
	assert_int_equal(st->agent_count, 0);
	assert_int_equal(count_files(*state, "state.json.bad-*"), 0); /* reading changes nothing */
	assert_int_equal(pg_state_change(*state, put, &a, NULL, NULL), 0);
	assert_int_equal(count_files(*state, "state.json.bad-*"), 1);
	pg_auto_free struct pg_state *after = pg_state_load(*state, NULL);
	assert_int_equal(after->agent_count, 1);
}

static void a_held_lock_is_not_waited_for_long(void **state)
{
	struct pg_state_agent a = agent(1);
	struct pg_err err = { .code = 0 };
	int lock = pg_state_lock(*state, NULL);
	assert_true(lock >= 0);
	assert_int_equal(pg_state_change(*state, put, &a, NULL, &err), -EBUSY);
	assert_non_null(strstr(err.hint, "another podgraft"));
	close(lock);
	assert_int_equal(pg_state_change(*state, put, &a, NULL, &err), 0);
}

int main(void)
{
	struct CMUnitTest tests[32] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(the_oldest_goes_when_full),
		cmocka_unit_test(the_first_miss_counts),
		cmocka_unit_test(refusals_last_their_time),
		cmocka_unit_test_setup_teardown(many_at_once_lose_nothing, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(a_damaged_file_is_kept_aside, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(a_held_lock_is_not_waited_for_long, make_dir,
						drop_dir),
	};
	size_t n = 7;
	for (size_t i = 0; i < PG_LEN(missed); i++)
		tests[n++] =
			(struct CMUnitTest){ missed[i].name,
					     it_is_lost_when_its_cluster_was_not_reached_for_a_week,
					     NULL, NULL, &missed[i] };
	for (size_t i = 0; i < PG_LEN(texts); i++)
		tests[n++] = (struct CMUnitTest){ texts[i].name, parses, NULL, NULL, &texts[i] };
	return _cmocka_run_group_tests("test_state", tests, n, NULL, NULL);
}
