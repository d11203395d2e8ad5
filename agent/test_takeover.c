/* Ports that change hands while laptops are linked: what each of them is told, and who answers. */
#include "agent/takeover.h"

#include "agent/test_laptop.h"

/* A second agent of the same pod, with one laptop linked to it. */
static struct pg_redirects *another_agent(struct world *w, struct laptop *l)
{
	static const struct pg_redirect_owner orphans = { .arrived = on_orphan };
	struct pg_redirects *own = w->redirects;
	struct pg_redirects *other =
		pg_redirects_new(w->loop, &w->log, "other", w->pressure, &orphans, w);
	assert_non_null(other);
	w->redirects = other; /* for the session that begins */
	assert_int_equal(begin_session(w, l), 0);
	w->redirects = own;
	assert_int_equal(add_lane(l, 0, NULL), 0);
	return other;
}

/* Asks for the port, and waits up to `ms` for the answer. */
static int take(struct laptop *l, const char *owner, int ms)
{
	Podgraft__V1__RedirectStart body = PODGRAFT__V1__REDIRECT_START__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	body.redirect = 1;
	body.port = PORT;
	body.owner = (char *)(uintptr_t)owner;
	body.take_over = true;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_START;
	msg.redirect_start = &body;
	int rc = ask(l, &msg);
	for (int i = 0; rc == -ETIMEDOUT && i < ms; i += 5) {
		turn(l->world, 5);
		rc = l->answered ? 0 : -ETIMEDOUT;
	}
	return rc < 0 ? rc : -l->code;
}

static void assert_told(const struct laptop *l, const char *holder)
{
	assert_true(l->answered);
	assert_int_equal(l->state, PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_TAKEN);
	assert_string_equal(l->holder, holder);
}

static void the_loser_is_told_and_its_connections_go_on(void **state)
{
	struct world *w = *state;
	struct laptop *ann = &w->laptops[0], *bob = &w->laptops[1];
	char byte;
	int server, client;
	assert_int_equal(start(ann, 1, PORT, "ann@laptop"), 0);
	client = dial_from(w, w->ns.outside, POD4, PORT);
	assert_int_equal(arrived_at(w, &server), LAPTOP);
	struct pg_redirects *other = another_agent(w, bob);
	ann->answered = false;
	assert_int_equal(take(bob, "bob@desk", 0), 0);
	assert_told(ann, "bob@desk");
	assert_int_equal(pg_redirects_count(w->redirects), 0);
	assert_int_equal(pg_redirects_count(other), 1);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
	assert_int_equal(send(server, "s", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(await(w, client, &byte, 1), 1);
	assert_int_equal(start(ann, 1, PORT, "ann@laptop"), -EBUSY); /* without --take-over */
	assert_string_equal(ann->holder, "bob@desk");
	bob->answered = false;
	assert_int_equal(take(ann, "ann@laptop", 0), 0);
	assert_told(bob, "ann@laptop");
	close(client);
	close(server);
	end_laptop(bob);
	pg_redirects_close(other);
}

/* More changes of the pod's rules at once than the kernel keeps for those who watch. */
static void a_flood_of_changes_makes_nobody_deaf(void **state)
{
	struct world *w = *state;
	struct laptop *ann = &w->laptops[0], *bob = &w->laptops[1];
	assert_int_equal(start(ann, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(sh("nft add table inet many && "
			    "nft add set inet many ports '{ type inet_service; }' && "
			    "nft add element inet many ports { $(seq -s, 1 20000) } && "
			    "nft delete table inet many"),
			 0);
	turn(w, 20);
	struct pg_redirects *other = another_agent(w, bob);
	ann->answered = false;
	assert_int_equal(take(bob, "bob@desk", 0), 0);
	assert_told(ann, "bob@desk");
	end_laptop(bob);
	pg_redirects_close(other);
}

static void from_ones_own_other_podgraft_too(void **state)
{
	struct world *w = *state;
	struct laptop *ann = &w->laptops[0], *also_ann = &w->laptops[1];
	assert_int_equal(begin_session(w, also_ann), 0);
	assert_int_equal(add_lane(also_ann, 0, NULL), 0);
	assert_int_equal(start(ann, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(start(ann, 2, OTHER_PORT, "ann@laptop"), 0);
	ann->answered = false;
	assert_int_equal(take(also_ann, "ann@desk", 0), 0);
	assert_told(ann, "ann@desk");
	assert_int_equal(pg_redirects_count(w->redirects), 2); /* the other port goes on */
	assert_int_equal(stop(ann, 2), 0);
	assert_int_equal(stop(ann, 1), -ENOENT);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
}

/* Whoever asked goes away before there is an answer. */
static void who_waits_may_leave(void **state)
{
	struct world *w = *state;
	struct laptop *bob = &w->laptops[0];
	struct pg_rules_config config = { .owner_tag = "hangs" };
	struct pg_rule rule = { .port = PORT, .holder = "ann@laptop" };
	struct pg_err err = { 0 };
	struct pg_rules *hangs;
	assert_int_equal(pg_rules_open(&config, &hangs, &err), 0);
	assert_int_equal(pg_rules_add(hangs, &rule, NULL, &err), 0);
	assert_int_equal(take(bob, "bob@desk", 100), -ETIMEDOUT); /* no answer yet */
	pg_link_free(pg_take_ptr(&bob->lanes[0]));
	turn(w, 50);
	assert_null(bob->session);
	char text[8192];
	ruleset(text, sizeof(text));
	assert_non_null(strstr(text, "podgraft-tcp-8080"));
	assert_null(strstr(text, "podgraft-takeover"));
	pg_rules_close(hangs);
}

/* Who asks for it is answered, everybody else of the same key is told. */
static void undo_ends_everything_and_tells_everybody(void **state)
{
	struct world *w = *state;
	struct laptop *ann = &w->laptops[0], *also_ann = &w->laptops[1];
	Podgraft__V1__Undo body = PODGRAFT__V1__UNDO__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	assert_int_equal(begin_session(w, also_ann), 0);
	assert_int_equal(add_lane(also_ann, 0, NULL), 0);
	assert_int_equal(start(ann, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(start(ann, 2, OTHER_PORT, "ann@laptop"), 0);
	body.by = (char *)(uintptr_t) "ann@desk";
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_UNDO;
	msg.undo = &body;
	ann->answered = false;
	assert_int_equal(ask(also_ann, &msg), 0);
	turn(w, 20);
	assert_true(ann->answered);
	assert_int_equal(also_ann->undone, 2);
	assert_int_equal(ann->undone, 2);
	assert_string_equal(ann->holder, "ann@desk");
	assert_int_equal(pg_redirects_count(w->redirects), 0);
	assert_int_equal(who_answers(w, POD4), APP);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_loser_is_told_and_its_connections_go_on),
		TEST(a_flood_of_changes_makes_nobody_deaf),
		TEST(from_ones_own_other_podgraft_too),
		TEST(who_waits_may_leave),
		TEST(undo_ends_everything_and_tells_everybody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
