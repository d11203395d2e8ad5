/* Ports that change hands between agents, on the real kernel, each with both mechanisms. */
#include "agent/rules_claim.h"

#include <stdlib.h>

#include "agent/test_world.h"

enum { LEASE_MS = 1000 };

static int take(struct pg_rules *rules, const char *holder, struct pg_claim *claim)
{
	struct pg_err err = { 0 };
	struct pg_rule rule = { .port = PORT, .holder = holder, .take_over = true };
	return pg_rules_add(rules, &rule, claim, &err);
}

/* What pg_rules_give_up() told. */
struct given {
	int times;
	enum pg_direction direction;
	uint16_t port;
	struct pg_claim by;
};

static void on_given(void *ctx, enum pg_direction direction, uint16_t port,
		     const struct pg_claim *by)
{
	struct given *g = ctx;
	*g = (struct given){ g->times + 1, direction, port, *by };
}

/* Lets `rules` look at what others want, once it was told that there is something. */
static struct given give_up(struct pg_rules *rules)
{
	struct given g = { .times = 0 };
	struct pollfd p = { .fd = pg_rules_watch(rules), .events = POLLIN };
	assert_int_equal(poll(&p, 1, 1000), 1);
	pg_rules_give_up(rules, on_given, &g);
	return g;
}

static bool has_table(const char *name)
{
	char text[16384];
	ruleset(text, sizeof(text));
	return strstr(text, name) != NULL;
}

/* The rule set `other` takes connections from now on: who of the two accepted them is seen. */
static void listen_to(struct world *w, struct pg_rules *other)
{
	pg_rules_listeners(other, w->listeners + AGENT);
}

static void the_holder_gives_up(void **state)
{
	struct world *w = *state;
	struct pg_claim claim;
	struct conn open;
	add(w, PORT, false);
	add(w, 81, false);
	assert_int_equal(connect_from(w, w->ns.outside, POD4, 0, &open), AGENT);
	struct pg_rules *other = open_as(w, "other");
	assert_int_equal(take(other, "bob@desk", &claim), -EAGAIN);
	assert_string_equal(claim.holder, "ann@laptop");
	assert_true(has_table("podgraft-takeover-tcp-8080"));
	struct given g = give_up(w->rules);
	assert_int_equal(g.times, 1);
	assert_int_equal(g.port, PORT);
	assert_string_equal(g.by.holder, "bob@desk");
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	assert_int_equal(take(other, "bob@desk", &claim), 0);
	assert_false(has_table("podgraft-takeover"));
	listen_to(w, other);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	assert_int_equal(answers(w, w->ns.pod, POD6, 0), AGENT);
	assert_int_equal(alive(open.client, open.server), 0);
	assert_false(pg_rules_has(w->rules, PG_INCOMING, PORT, &claim));
	assert_string_equal(claim.holder, "bob@desk");
	assert_true(pg_rules_has(w->rules, PG_INCOMING, 81, NULL)); /* which nobody wanted */
	give_up(w->rules);
	assert_true(pg_rules_has(w->rules, PG_INCOMING, 81, NULL));
	hang_up(&open);
	pg_rules_close(other);
}

/* Its agent is stopped: nobody gives anything up, and nobody else can remove its claim. */
static void a_hanging_holder_loses_its_port_with_its_lease(void **state)
{
	struct world *w = *state;
	struct pg_err err = { 0 };
	struct pg_claim claim;
	int code, tries = 0;
	add(w, PORT, false);
	struct pg_rules *other = open_as(w, "other");
	while ((code = take(other, "bob@desk", &claim)) == -EAGAIN && tries++ < 200)
		poll(NULL, 0, PG_TAKE_OVER_LOOK_MS);
	assert_int_equal(code, 0);
	assert_true(tries > 10); /* it waited for the lease */
	listen_to(w, other);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);

	pg_rules_renew(w->rules, &err); /* it wakes up, before it has heard of anything */
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	struct given g = give_up(w->rules);
	if (!w->no_owner_flag) { /* else it has found out by itself */
		assert_int_equal(g.times, 1);
		assert_string_equal(g.by.holder, "bob@desk");
	}
	assert_false(pg_rules_has(w->rules, PG_INCOMING, PORT, NULL));
	assert_int_equal(give_up(other).times, 0); /* and makes a claim of its question */
	assert_false(has_table("podgraft-takeover"));
	assert_true(pg_rules_has(other, PG_INCOMING, PORT, &claim));
	assert_string_equal(claim.holder, "bob@desk");
	assert_int_equal(pg_rules_renew(other, &err), 0);
	assert_int_equal(answers(w, w->ns.outside, POD6, 0), AGENT);
	pg_rules_close(other);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
}

/* The one that hung dies without waking up; or who took from it ends first. */
static void a_question_that_stands_for_the_claim_ends_like_one(void **state)
{
	struct world *w = *state;
	struct pg_claim claim;
	add(w, PORT, false);
	struct pg_rules *other = open_as(w, "other");
	while (take(other, "bob@desk", &claim) == -EAGAIN)
		poll(NULL, 0, PG_TAKE_OVER_LOOK_MS);
	struct pg_err err = { 0 };
	assert_int_equal(pg_rules_remove(other, PG_INCOMING, PORT, &err), 0);
	assert_false(has_table("podgraft-takeover"));
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	while (take(other, "bob@desk", &claim) == -EAGAIN)
		poll(NULL, 0, PG_TAKE_OVER_LOOK_MS);
	close_rules(w);
	assert_int_equal(give_up(other).times, 0);
	assert_true(pg_rules_has(other, PG_INCOMING, PORT, &claim));
	assert_string_equal(claim.holder, "bob@desk");
	assert_false(has_table("podgraft-takeover"));
	listen_to(w, other);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	pg_rules_close(other);
	w->listeners[AGENT] = w->listeners[AGENT + 1] = -1;
}

static void what_goes_out_is_taken_over_by_itself(void **state)
{
	struct world *w = *state;
	struct pg_err err = { 0 };
	struct pg_claim claim;
	struct pg_rule rule = { .direction = PG_OUTGOING, .port = PORT, .holder = "ann@laptop" };
	add(w, PORT, false); /* the same port, the other way */
	assert_int_equal(pg_rules_add(w->rules, &rule, &claim, &err), 0);
	struct pg_rules *other = open_as(w, "other");
	rule.holder = "bob@desk";
	rule.take_over = true;
	assert_int_equal(pg_rules_add(other, &rule, &claim, &err), -EAGAIN);
	assert_true(has_table("podgraft-takeover-out-tcp-8080"));
	struct given g = give_up(w->rules);
	assert_int_equal(g.times, 1);
	assert_int_equal(g.direction, PG_OUTGOING);
	assert_int_equal(g.port, PORT);
	assert_int_equal(pg_rules_add(other, &rule, &claim, &err), 0);
	assert_false(has_table("podgraft-takeover"));
	assert_false(pg_rules_has(w->rules, PG_OUTGOING, PORT, NULL));
	assert_true(pg_rules_has(w->rules, PG_INCOMING, PORT, NULL));
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	pg_rules_close(other);
}

static void of_two_takers_the_second_is_told_of_the_first(void **state)
{
	struct world *w = *state;
	struct pg_claim claim;
	add(w, PORT, false);
	struct pg_rules *bob = open_as(w, "bob"), *eve = open_as(w, "eve");
	assert_int_equal(take(bob, "bob@desk", &claim), -EAGAIN);
	assert_int_equal(take(eve, "eve@pc", &claim), -EALREADY);
	assert_string_equal(claim.holder, "bob@desk");
	assert_int_equal(give_up(w->rules).times, 1);
	assert_int_equal(take(bob, "bob@desk", &claim), 0);
	assert_int_equal(take(eve, "eve@pc", &claim), -EAGAIN);
	assert_string_equal(claim.holder, "bob@desk");
	assert_int_equal(give_up(bob).times, 1);
	assert_int_equal(take(eve, "eve@pc", &claim), 0);
	pg_rules_close(bob);
	pg_rules_close(eve);
}

static void a_question_taken_back_changes_nothing(void **state)
{
	struct world *w = *state;
	struct pg_claim claim;
	add(w, PORT, false);
	struct pg_rules *other = open_as(w, "other");
	assert_int_equal(take(other, "bob@desk", &claim), -EAGAIN);
	pg_rules_take_no_more(other, PG_INCOMING, PORT);
	assert_int_equal(give_up(w->rules).times, 0);
	assert_int_equal(take(other, "bob@desk", &claim), -EAGAIN);
	pg_rules_close(other);
	assert_false(has_table("podgraft-takeover"));
	assert_int_equal(give_up(w->rules).times, 0);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
}

static void a_free_port_needs_no_question(void **state)
{
	struct world *w = *state;
	struct pg_claim claim;
	assert_int_equal(take(w->rules, "ann@laptop", &claim), 0);
	assert_false(has_table("podgraft-takeover"));
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
}

/* As an agent leaves it behind that dies in the middle, where the kernel has no owned tables. */
static void a_dead_agents_question_does_not_count_for_ever(void **state)
{
	struct world *w = *state;
	struct pg_claim claim;
	add(w, PORT, false);
	assert_int_equal(sh("nft add table inet podgraft-takeover-tcp-8080 "
			    "'{ comment \"eve@pc since 2020-01-01T00:00:00Z boot 1\"; }'"),
			 0);
	assert_int_equal(give_up(w->rules).times, 0);
	struct pg_rules *other = open_as(w, "other");
	assert_int_equal(take(other, "bob@desk", &claim), -EAGAIN); /* in its place */
	struct given g = give_up(w->rules);
	assert_int_equal(g.times, 1);
	assert_string_equal(g.by.holder, "bob@desk");
	assert_int_equal(take(other, "bob@desk", &claim), 0);
	assert_false(has_table("podgraft-takeover"));
	pg_rules_close(other);
}

#define BOTH(test, world)                                               \
	{ "tproxy: " #test, test, make_world, end_world, &(world)[0] }, \
	{                                                               \
		"nat: " #test, test, make_world, end_world, &(world)[1] \
	}
#define ALL(test) BOTH(test, owned), BOTH(test, unowned)

int main(void)
{
	static struct world owned[] = { { .mech = PG_MECH_TPROXY, .lease_ms = LEASE_MS },
					{ .mech = PG_MECH_NAT, .lease_ms = LEASE_MS } };
	static struct world unowned[] = {
		{ .mech = PG_MECH_TPROXY, .lease_ms = LEASE_MS, .no_owner_flag = true },
		{ .mech = PG_MECH_NAT, .lease_ms = LEASE_MS, .no_owner_flag = true }
	};
	const struct CMUnitTest tests[] = {
		ALL(the_holder_gives_up),
		ALL(a_hanging_holder_loses_its_port_with_its_lease),
		BOTH(a_question_that_stands_for_the_claim_ends_like_one, owned),
		BOTH(what_goes_out_is_taken_over_by_itself, owned),
		ALL(of_two_takers_the_second_is_told_of_the_first),
		ALL(a_question_taken_back_changes_nothing),
		BOTH(a_free_port_needs_no_question, owned),
		BOTH(a_dead_agents_question_does_not_count_for_ever, unowned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
