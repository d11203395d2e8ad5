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
#include "proto/mux/limits.h"

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
	{ "few descriptors, room for one connection more", { 50, 60, 0, 1000 }, 0, 0 },
	{ "few descriptors, and none", { 51, 60, 0, 1000 }, 0, EMFILE },
	{ "few, a shortage lasts without room for three", { 27, 40, 0, 1000 }, EMFILE, EMFILE },
	{ "few, and is over with it", { 26, 40, 0, 1000 }, EMFILE, 0 },
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

/* Some were there already, with numbers of whoever started us. */
static int count_open(void)
{
	int n = 0;
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void descriptors_run_out_and_come_back(void **state)
{
	struct seen *s = *state;
	while (pg_pressure_code(s->pressure) == 0)
		assert_true(open_one(s));
	assert_int_equal(s->code, EMFILE);
	assert_int_equal(count_open(), FILES * PG_SHORT_PERCENT / 100 + 1);
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

/* Low numbers that are free again hide those above them that are in use. */
static void descriptors_above_a_hole_count(void **state)
{
	struct seen *s = *state;
	while (s->count < FILES * 70 / 100)
		assert_true(open_one(s));
	assert_int_equal(s->changes, 0);
	int low = s->files[0];
	close(low);
	for (int i = 0; i < 3; i++) { /* more above, of which only the hole's is told */
		s->files[s->count] = fcntl(s->files[1], F_DUPFD_CLOEXEC, FILES - 4 + i);
		assert_true(s->files[s->count++] >= 0);
	}
	int at = s->count;
	while (pg_pressure_code(s->pressure) == 0)
		assert_true(open_one(s));
	s->files[0] = s->files[at]; /* the hole is filled */
	assert_int_equal(count_open(), FILES * PG_SHORT_PERCENT / 100 + 1);
	s->files[at] = s->files[--s->count];
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

static void every_lane_but_the_first_counts(void **state)
{
	struct seen *s = *state;
	pg_pressure_close(s->pressure);
	s->pressure = pg_pressure_new(s->loop, 10 * PG_LANE_BYTES, on_changed, s);
	pg_pressure_lane(s->pressure, 1);
	pg_pressure_bytes(s->pressure, 9 * PG_LANE_BYTES);
	assert_int_equal(s->changes, 0);
	pg_pressure_lane(s->pressure, 1);
	assert_int_equal(s->code, ENOMEM);
	pg_pressure_bytes(s->pressure, 7 * PG_LANE_BYTES);
	assert_int_equal(s->code, ENOMEM); /* 80 % */
	pg_pressure_lane(s->pressure, -1);
	assert_int_equal(s->code, 0);
}

/* How many lanes are taken, of one session or each of another, with room for so many. */
static int lanes_with(struct seen *s, unsigned room, bool of_one_session)
{
	int n = 0;
	pg_pressure_close(s->pressure);
	s->pressure = pg_pressure_new(s->loop, (uint64_t)room * PG_LANE_BYTES, on_changed, s);
	while (n < 1000 && pg_pressure_takes_lane(s->pressure, n == 0 || !of_one_session)) {
		pg_pressure_lane(s->pressure, 1);
		n++;
	}
	assert_int_equal(pg_pressure_code(s->pressure), 0);
	return n;
}

static void lanes_alone_make_no_shortage(void **state)
{
	struct seen *s = *state;
	assert_int_equal(lanes_with(s, 40, true), 11);  /* the first, and a quarter of the room */
	assert_int_equal(lanes_with(s, 40, false), 21); /* the first, and half of it */
	assert_int_equal(lanes_with(s, 3, true), 2);    /* the least */
	assert_int_equal(lanes_with(s, 3, false), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

enum { TESTS = 6 }; /* beside the table */

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + TESTS] = {
		TEST(descriptors_run_out_and_come_back),      TEST(descriptors_above_a_hole_count),
		TEST(a_limit_that_is_lowered_counts_at_once), TEST(memory_runs_out_and_comes_back),
		TEST(every_lane_but_the_first_counts),        TEST(lanes_alone_make_no_shortage),
	};
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i + TESTS] = (struct CMUnitTest){ cases[i].name, tells_a_shortage, NULL, NULL,
							&cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
