/* Redirects that end while others turn out to be lost: on a kernel without the owner flag, where
 * another agent may have a parked port whose lease has run out. */
#include <sys/resource.h>

#include "agent/test_laptop.h"

enum { LOST = OTHER_PORT, LAST = 8082 };

static const Podgraft__V1__RedirectState TAKEN = PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_TAKEN;

/* The agent counts its descriptors as short, and has got enough of them by the time it looks again.
 */
static void run_short(struct world *w)
{
	struct rlimit was, less;
	int fd = dup(0);
	getrlimit(RLIMIT_NOFILE, &was);
	less = (struct rlimit){ (rlim_t)fd + 3, was.rlim_max };
	setrlimit(RLIMIT_NOFILE, &less);
	pg_pressure_file(w->pressure, fd);
	setrlimit(RLIMIT_NOFILE, &was);
	close(fd);
	assert_int_equal(pg_redirects_short_of(w->redirects), EMFILE);
}

/* The agent hung for so long that its lease on LOST has run out, and another one has the port. */
static struct pg_rules *lose_the_port(void)
{
	struct pg_rules_config config = { .owner_tag = "other", .no_owner_flag = true };
	struct pg_rule rule = { .port = LOST, .holder = "bob@desk" };
	struct pg_rules *others = NULL;
	struct pg_claim claim;
	struct pg_err err = { 0 };
	assert_int_equal(sh("nft delete element inet podgraft-test parked '{ 8081 }'"), 0);
	assert_int_equal(pg_rules_open(&config, &others, &err), 0);
	assert_int_equal(pg_rules_add(others, &rule, &claim, &err), 0);
	return others;
}

/* With the listeners' queues emptied after its rule, the agent sees that nothing is short any more,
 * and takes the parked ports again. */
static void what_is_lost_while_another_ends_takes_no_third_with_it(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	struct pg_err err = { 0 };
	pg_redirects_disown(w->redirects);
	assert_int_equal(start(l, 1, LOST, "ann@laptop"), 0);
	assert_int_equal(start(l, 2, PORT, "ann@laptop"), 0);
	assert_int_equal(start(l, 3, LAST, "ann@laptop"), 0);
	run_short(w);
	struct pg_rules *others = lose_the_port();
	w->log.level = PG_QUIET;
	assert_int_equal(pg_redirects_stop(w->redirects, 3, l->session, &err), 0);
	w->log.level = PG_ERROR;
	assert_int_equal(pg_redirects_short_of(w->redirects), 0);
	assert_int_equal(pg_redirects_count(w->redirects), 1);
	for (int i = 0; i < 60 && l->state != TAKEN; i++)
		turn(w, 5);
	assert_int_equal(l->state, TAKEN);
	assert_string_equal(l->holder, "bob@desk");
	assert_int_equal(who_answers(w, POD4), LAPTOP);
	assert_int_equal(stop(l, 1), -ENOENT);
	assert_int_equal(stop(l, 2), 0);
	assert_int_equal(who_answers(w, POD4), APP);
	pg_rules_close(others);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_is_lost_while_another_ends_takes_no_third_with_it, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("redirects_end", tests, NULL, NULL);
}
