/* Laptops that go without a word, and those that say goodbye: what of theirs is left. */
#include "agent/test_laptop.h"

enum { EXPECTED_MS = 200 };

/* The world's log goes to a file of its own. */
static int set_up_with_log(void **state)
{
	if (set_up(state) < 0)
		return -1;
	struct world *w = *state;
	w->log = (struct pg_log){ .level = PG_INFO, .to = tmpfile(), .prefix = "agent: " };
	return w->log.to ? 0 : -1;
}

static int tear_down_with_log(void **state)
{
	struct world *w = *state;
	int rc = tear_down(state);
	fclose(w->log.to);
	return rc;
}

static bool log_says(struct world *w, const char *words)
{
	static char text[1 << 16];
	rewind(w->log.to);
	size_t n = fread(text, 1, sizeof(text) - 1, w->log.to);
	text[n] = '\0';
	return strstr(text, words) != NULL;
}

/* As after kill -9: the lane ends, and nothing was said. */
static void vanish(struct world *w, struct laptop *l)
{
	pg_link_free(l->lanes[0]);
	l->lanes[0] = NULL;
	turn(w, 20);
	assert_null(l->session);
}

static const struct pg_away *away(const struct world *w)
{
	return pg_redirects_away(w->redirects);
}

static void of_a_laptop_that_vanishes_a_note_is_left_and_nothing_else(void **state)
{
	struct world *w = *state;
	char rules[4096];
	assert_int_equal(start(&w->laptops[0], 1, PORT, "ann@laptop"), 0);
	vanish(w, &w->laptops[0]);
	assert_int_equal(pg_redirects_count(w->redirects), 0);
	assert_int_equal(away(w)->count, 1);
	assert_int_equal(away(w)->items[0].port, PORT);
	assert_string_equal(away(w)->items[0].holder, "ann@laptop");
	assert_true(log_says(w, "port 8080: parked (laptop away since 2"));
	assert_int_equal(who_answers(w, POD4), APP);
	pg_redirects_rest(w->redirects);
	ruleset(rules, sizeof(rules));
	assert_null(strstr(rules, "podgraft"));
}

static void the_port_is_free_for_others_meanwhile(void **state)
{
	struct world *w = *state;
	struct pg_rules_config config = { .owner_tag = "other" };
	struct pg_rule rule = { .port = PORT, .holder = "bob@desk" };
	struct pg_claim claim;
	struct pg_rules *others;
	struct pg_err err = { 0 };
	assert_int_equal(start(&w->laptops[0], 1, PORT, "ann@laptop"), 0);
	vanish(w, &w->laptops[0]);
	assert_int_equal(pg_rules_open(&config, &others, &err), 0);
	assert_int_equal(pg_rules_add(others, &rule, &claim, &err), 0);
	assert_int_equal(begin_session(w, &w->laptops[0]), 0);
	assert_int_equal(add_lane(&w->laptops[0], 0, NULL), 0);
	assert_int_equal(start(&w->laptops[0], 1, PORT, "ann@laptop"), -EBUSY);
	assert_int_equal(away(w)->count, 0); /* it is not away any more */
	assert_true(log_says(w, "port 8080: stopped"));
	pg_rules_close(others);
}

static void a_laptop_that_comes_back_takes_the_place_of_the_note(void **state)
{
	struct world *w = *state;
	assert_int_equal(start(&w->laptops[0], 1, PORT, "ann@laptop"), 0);
	assert_int_equal(start(&w->laptops[0], 2, OTHER_PORT, "ann@laptop"), 0);
	vanish(w, &w->laptops[0]);
	assert_int_equal(away(w)->count, 2);
	assert_int_equal(begin_session(w, &w->laptops[0]), 0);
	assert_int_equal(add_lane(&w->laptops[0], 0, NULL), 0);
	assert_int_equal(start(&w->laptops[0], 7, PORT, "ann@laptop"), 0);
	assert_int_equal(away(w)->count, 1);
	assert_int_equal(away(w)->items[0].port, OTHER_PORT);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
}

static void a_laptop_that_does_not_come_back_is_forgotten(void **state)
{
	struct world *w = *state;
	pg_redirects_expect_back(w->redirects, EXPECTED_MS);
	assert_int_equal(start(&w->laptops[0], 1, PORT, "ann@laptop"), 0);
	vanish(w, &w->laptops[0]);
	assert_int_equal(away(w)->count, 1);
	turn(w, EXPECTED_MS + 50);
	assert_int_equal(away(w)->count, 0);
	assert_true(log_says(w, "port 8080: stopped (the laptop did not come back)"));
}

static void who_says_goodbye_leaves_no_note(void **state)
{
	struct world *w = *state;
	assert_int_equal(start(&w->laptops[0], 1, PORT, "ann@laptop"), 0);
	say_goodbye(&w->laptops[0]);
	turn(w, 20);
	assert_null(w->laptops[0].session);
	assert_int_equal(away(w)->count, 0);
	assert_true(log_says(w, "port 8080: stopped since"));
}

static void an_agent_that_ends_starts_nothing_and_forgets_all(void **state)
{
	struct world *w = *state;
	assert_int_equal(begin_session(w, &w->laptops[1]), 0);
	assert_int_equal(add_lane(&w->laptops[1], 0, NULL), 0);
	assert_int_equal(start(&w->laptops[0], 1, PORT, "ann@laptop"), 0);
	assert_int_equal(start(&w->laptops[1], 1, OTHER_PORT, "ann@desk"), 0);
	vanish(w, &w->laptops[0]);
	pg_redirects_end(w->redirects);
	assert_int_equal(away(w)->count, 0);
	assert_int_equal(start(&w->laptops[1], 1, OTHER_PORT, "ann@desk"), -ESHUTDOWN);
	assert_int_equal(pg_redirects_count(w->redirects), 0);
	assert_int_equal(who_answers(w, POD4), APP);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_with_log, tear_down_with_log)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_a_laptop_that_vanishes_a_note_is_left_and_nothing_else),
		TEST(the_port_is_free_for_others_meanwhile),
		TEST(a_laptop_that_comes_back_takes_the_place_of_the_note),
		TEST(a_laptop_that_does_not_come_back_is_forgotten),
		TEST(who_says_goodbye_leaves_no_note),
		TEST(an_agent_that_ends_starts_nothing_and_forgets_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
