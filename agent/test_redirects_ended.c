/* What becomes of connections after the end of the redirect that they came by is told to its
 * laptop, so that in the end each of them is in the counts. */
#include "agent/test_laptop.h"

/* Starts the redirect of `port`, and ends it while the laptop makes up its mind about a client. */
static int end_while_one_waits(struct world *w, uint16_t port)
{
	struct laptop *l = &w->laptops[0];
	assert_int_equal(start(l, 1, port, "ann@laptop"), 0);
	int client = dial_from(w, w->ns.outside, POD4, port);
	assert_true(client >= 0);
	turn(w, 50);
	assert_int_equal(stop(l, 1), 0);
	assert_int_equal(l->undecided, 1); /* before the answer */
	return client;
}

static void assert_counts(struct world *w, uint64_t laptop, uint64_t app)
{
	assert_int_equal(w->laptops[0].counts[PG_BY_LAPTOP], laptop);
	assert_int_equal(w->laptops[0].counts[PG_BY_APP], app);
	assert_int_equal(w->laptops[0].counts[PG_AS_PROBE], 0);
}

static void who_the_app_serves_after_the_end_is_counted(void **state)
{
	struct world *w = *state;
	int hung[2];
	hang_program(w, hung);
	int client = end_while_one_waits(w, PORT);
	assert_counts(w, 0, 0);
	await_last_counts(w);
	assert_counts(w, 0, 1);
	close(client);
	close(hung[0]);
	close(hung[1]);
}

static void who_was_on_its_way_by_a_lane_that_is_lost_is_counted(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	int first = dial_from(w, w->ns.outside, POD4, PORT);
	turn(w, 50);
	int raw;
	assert_int_equal(add_lane(l, 1, &raw), 0);
	int second = dial_from(w, w->ns.outside, POD4, PORT); /* by the lane that is silent yet */
	turn(w, 50);
	assert_int_equal(stop(l, 1), 0);
	assert_int_equal(l->undecided, 1);
	assert_counts(w, 1, 0);
	close(raw); /* the laptop has not taken it: the app does, at once */
	await_last_counts(w);
	assert_counts(w, 1, 1);
	close(first);
	close(second);
}

static void who_is_served_by_nobody_is_not(void **state)
{
	struct world *w = *state;
	int hung[2];
	char byte;
	hang_program(w, hung);
	int client = end_while_one_waits(w, OTHER_PORT); /* where no app listens */
	await_last_counts(w);
	assert_counts(w, 0, 0);
	assert_int_equal(await(w, client, &byte, 1), -ECONNRESET);
	close(client);
	close(hung[0]);
	close(hung[1]);
}

static void a_laptop_that_does_not_wait_for_it_is_not_told(void **state)
{
	struct world *w = *state;
	int hung[2];
	hang_program(w, hung);
	int client = end_while_one_waits(w, PORT);
	say_goodbye(&w->laptops[0]);
	turn(w, 50);
	assert_null(w->laptops[0].session);
	for (int i = 0; i < 60 && pg_connections_served(w->connections, PG_BY_APP) == 0; i++)
		turn(w, 20);
	assert_int_equal(pg_connections_served(w->connections, PG_BY_APP), 1);
	assert_counts(w, 0, 0);
	close(client);
	close(hung[0]);
	close(hung[1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_the_app_serves_after_the_end_is_counted),
		TEST(who_was_on_its_way_by_a_lane_that_is_lost_is_counted),
		TEST(who_is_served_by_nobody_is_not),
		TEST(a_laptop_that_does_not_wait_for_it_is_not_told),
	};
	return cmocka_run_group_tests_name("redirects_ended", tests, NULL, NULL);
}
