/* When an agent counts as short of descriptors or memory, and that it sees its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/pressure.h"
#include "proto/base/mem.h"

struct usage_case {
	const char *name;
	struct pg_usage usage; /* files of files_max, bytes of bytes_max */
	int was, want;
};

static struct usage_case cases[] = {
	{ "nothing in use", { 0, 1000, 0, 1000 }, 0, 0 },
	{ "90 % of the descriptors", { 900, 1000, 0, 1000 }, 0, 0 },
	{ "more than 90 % of the descriptors", { 901, 1000, 0, 1000 }, 0, EMFILE },
	{ "more than 90 % of the memory", { 0, 1000, 901, 1000 }, 0, ENOMEM },
	{ "both: memory is told", { 950, 1000, 950, 1000 }, 0, ENOMEM },
	{ "a shortage lasts above 75 %", { 751, 1000, 0, 1000 }, EMFILE, EMFILE },
	{ "and is over at 75 %", { 750, 1000, 750, 1000 }, EMFILE, 0 },
	{ "one kind does not become another", { 0, 1000, 990, 1000 }, EMFILE, EMFILE },
	{ "one that is over, with the other above 75 %", { 760, 1000, 0, 1000 }, ENOMEM, ENOMEM },
	{ "a limit of nothing", { 3, 0, 0, 1000 }, 0, EMFILE },
};

static void tells_a_shortage(void **state)
{
	const struct usage_case *c = *state;
	assert_int_equal(pg_usage_shortage(&c->usage, c->was), c->want);
}

enum { FILES = 100 };

struct seen {
	struct pg_loop *loop;
	struct pg_pressure *pressure;
	struct rlimit limit; /* as it was */
	int changes, code;
	int files[FILES];
	int count;
};

static void on_changed(void *ctx, int code)
{
	struct seen *s = ctx;
	s->changes++;
	s->code = code;
}

static int set_up(void **state)
{
	static struct seen s;
	struct pg_err err = { 0 };
	s = (struct seen){ .loop = pg_loop_new(&err) };
	s.pressure = pg_pressure_new(s.loop, 1000, on_changed, &s);
	getrlimit(RLIMIT_NOFILE, &s.limit);
	struct rlimit less = { FILES, s.limit.rlim_max };
	setrlimit(RLIMIT_NOFILE, &less);
	*state = &s;
	return s.pressure ? 0 : -1;
}

static int tear_down(void **state)
{
	struct seen *s = *state;
	while (s->count > 0)
		close(s->files[--s->count]);
	setrlimit(RLIMIT_NOFILE, &s->limit);
	pg_pressure_close(s->pressure);
	pg_loop_free(s->loop);
	return 0;
}

/* Opens one more descriptor, as accept(2) would: false when there is none. */
static bool open_one(struct seen *s)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	s->files[s->count++] = fd;
	pg_pressure_file(s->pressure, fd);
	return true;
}

static void turn(struct seen *s, uint64_t ms)
{
	const bool never = false;
	pg_loop_wait(s->loop, &never, pg_loop_now_ms(s->loop) + ms);
}

static void descriptors_run_out_and_come_back(void **state)
{
	struct seen *s = *state;
	while (pg_pressure_code(s->pressure) == 0)
		assert_true(open_one(s));
	assert_int_equal(s->code, EMFILE);
	assert_int_equal(s->files[s->count - 1], FILES * PG_SHORT_PERCENT / 100);
	while (pg_pressure_has_room(s->pressure))
		assert_true(open_one(s));
	assert_true(open_one(s)); /* what is kept for the control API */
	while (s->files[s->count - 1] >= FILES * PG_PLENTY_PERCENT / 100)
		close(s->files[--s->count]);
	open_one(s);
	turn(s, 600);
	assert_int_equal(s->changes, 1); /* 76 are in use */
	for (int i = 0; i < 8; i++) /* a few were open already, by numbers of whoever started us */
		close(s->files[--s->count]);
	turn(s, 600);
	assert_int_equal(s->changes, 2);
	assert_int_equal(s->code, 0);
	assert_true(pg_pressure_has_room(s->pressure));
}

static void a_limit_that_is_lowered_counts_at_once(void **state)
{
	struct seen *s = *state;
	struct rlimit less = { 20, s->limit.rlim_max };
	setrlimit(RLIMIT_NOFILE, &less);
	while (open_one(s))
		;
	assert_int_equal(s->code, EMFILE);
	less.rlim_cur = FILES;
	setrlimit(RLIMIT_NOFILE, &less);
	turn(s, 600);
	assert_int_equal(s->code, 0);
}

static void memory_runs_out_and_comes_back(void **state)
{
	struct seen *s = *state;
	pg_pressure_bytes(s->pressure, 900);
	assert_int_equal(s->changes, 0);
	pg_pressure_bytes(s->pressure, 999);
	assert_int_equal(s->code, ENOMEM);
	assert_true(pg_pressure_has_room(s->pressure));
	pg_pressure_bytes(s->pressure, 1000);
	assert_false(pg_pressure_has_room(s->pressure));
	pg_pressure_bytes(s->pressure, 751);
	assert_int_equal(s->changes, 1);
	pg_pressure_bytes(s->pressure, 750);
	assert_int_equal(s->code, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 3] = {
		TEST(descriptors_run_out_and_come_back),
		TEST(a_limit_that_is_lowered_counts_at_once),
		TEST(memory_runs_out_and_comes_back),
	};
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i + 3] = (struct CMUnitTest){ cases[i].name, tells_a_shortage, NULL, NULL,
						    &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
