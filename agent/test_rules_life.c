/* What becomes of redirects when their agent dies, hangs, or is not alone: on the real kernel. */
#include "agent/rules.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "agent/test_world.h"

enum { LEASE_MS = 1000 };

static void sleep_ms(int ms)
{
	poll(NULL, 0, ms);
}

static int renew(struct pg_rules *rules)
{
	struct pg_err err = { 0 };
	return pg_rules_renew(rules, &err);
}

static int add_as(struct pg_rules *rules, uint16_t port, const char *holder, struct pg_claim *claim)
{
	struct pg_err err = { 0 };
	struct pg_rule rule = { .port = port, .holder = holder };
	return pg_rules_add(rules, &rule, claim, &err);
}

static uint16_t port_of(int listener)
{
	struct sockaddr_storage at = { 0 };
	socklen_t len = sizeof(at);
	uint8_t bytes[16];
	uint16_t port = 0;
	if (getsockname(listener, (struct sockaddr *)&at, &len) == 0)
		pg_addr_bytes(&at, bytes, &port);
	return port;
}

/* An agent of its own process which redirects PORT: its pid, once the rule stands, and the port of
 * its listeners. */
static pid_t start_agent(struct world *w, const char *tag, uint16_t *listens_out)
{
	int ready[2];
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct pg_claim claim;
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail half-way */
		struct pg_rules *rules = open_as(w, tag);
		int fds[PG_LISTENERS];
		pg_rules_listeners(rules, fds);
		uint16_t port = port_of(fds[0]);
		if (add_as(rules, PORT, "bob@desk", &claim) == 0 &&
		    write(ready[1], &port, sizeof(port)) == sizeof(port))
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], listens_out, sizeof(*listens_out)), sizeof(*listens_out));
	close(ready[0]);
	return pid;
}

static void end_agent(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void killed_agent_leaves_nothing(void **state)
{
	struct world *w = *state;
	char before[4096], during[8192], after[8192];
	uint16_t port;
	close_rules(w);
	assert_int_equal(RUN("nft", "add", "table", "inet", "of-the-pod"), 0);
	assert_true(ruleset(before, sizeof(before)) > 0);
	for (int i = 0; i < 5; i++) {
		pid_t pid = start_agent(w, "doomed", &port);
		ruleset(during, sizeof(during));
		assert_non_null(strstr(during, "podgraft-doomed"));
		assert_non_null(strstr(during, "podgraft-tcp-8080"));
		end_agent(pid);
		ruleset(after, sizeof(after));
		assert_string_equal(after, before);
		assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	}
}

static void lease_runs_out_and_comes_back(void **state)
{
	struct world *w = *state;
	struct conn c;
	add(w, PORT, false);
	assert_int_equal(connect_from(w, w->ns.outside, POD4, 0, &c), AGENT);
	sleep_ms(LEASE_MS + 100);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	assert_int_equal(answers(w, w->ns.pod, "::1", 0), APP);
	assert_int_equal(alive(c.client, c.server), 0);
	assert_int_equal(renew(w->rules), 0);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	assert_int_equal(alive(c.client, c.server), 0);
	sleep_ms(LEASE_MS + 100);
	drop(w, PORT);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	hang_up(&c);
}

static void renewed_lease_lasts(void **state)
{
	struct world *w = *state;
	add(w, PORT, false);
	add(w, 81, true);
	for (int i = 0; i < 5; i++) {
		sleep_ms(LEASE_MS / 2);
		assert_int_equal(renew(w->rules), 0);
		assert_int_equal(answers(w, w->ns.outside, POD6, 0), AGENT);
	}
}

static void second_claimant_is_told_who_was_first(void **state)
{
	struct world *w = *state;
	struct pg_claim claim = { .since = 0 };
	add(w, PORT, false);
	struct pg_rules *other = open_as(w, "other");
	assert_int_equal(add_as(other, PORT, "bob@desk", &claim), -EBUSY);
	assert_string_equal(claim.holder, "ann@laptop");
	assert_true(claim.since + 5 > (uint64_t)time(NULL));
	assert_true(claim.since <= (uint64_t)time(NULL));
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	assert_int_equal(add_as(other, 81, "bob@desk", &claim), 0);
	drop(w, PORT);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP); /* the loser has left nothing */
	assert_int_equal(add_as(other, PORT, "bob@desk", &claim), 0);
	pg_rules_close(other);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
}

static void foreign_hands_change_nothing(void **state)
{
	struct world *w = *state;
	char before[8192], after[8192];
	add(w, PORT, false);
	assert_int_equal(RUN("nft", "flush", "ruleset"), 0);
	assert_int_not_equal(sh("nft delete table inet podgraft-test 2>/dev/null"), 0);
	assert_int_not_equal(sh("nft flush set inet podgraft-test inbound 2>/dev/null"), 0);
	assert_int_not_equal(sh("nft delete table inet podgraft-tcp-8080 2>/dev/null"), 0);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	drop(w, PORT);
	ruleset(before, sizeof(before));
	add(w, PORT, false);
	drop(w, PORT);
	ruleset(after, sizeof(after));
	assert_string_equal(after, before);
}

static void lacking_net_admin_is_said(void **state)
{
	struct world *w = *state;
	pid_t pid = fork();
	if (pid == 0) {
		struct pg_rules_config config = { .owner_tag = "poor", .force = w->mech };
		struct pg_rules *rules;
		struct pg_err err = { 0 };
		if (unshare(CLONE_NEWUSER) < 0) /* no capability over the pod's namespace there */
			_exit(2);
		int code = pg_rules_open(&config, &rules, &err);
		_exit(code == -EPERM && err.whose == PG_TARGET && strstr(err.hint, "NET_ADMIN")
			      ? 0
			      : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- kernels without owned tables ---- */

static void unowned_rules_of_a_dead_agent_run_out(void **state)
{
	struct world *w = *state;
	struct pg_claim claim;
	uint16_t port;
	close_rules(w);
	pid_t pid = start_agent(w, "doomed", &port);
	struct pg_rules *other = open_as(w, "other");
	assert_int_equal(add_as(other, PORT, "eve@pc", &claim), -EBUSY);
	assert_string_equal(claim.holder, "bob@desk");
	end_agent(pid);
	if (w->mech == PG_MECH_TPROXY) /* which needs no lease for that */
		assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	sleep_ms(LEASE_MS + 100);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	assert_int_equal(answers(w, w->ns.pod, POD6, 0), APP);
	assert_int_equal(add_as(other, PORT, "eve@pc", &claim), 0); /* the claim was stale */
	pg_rules_listeners(other, w->listeners + AGENT);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	pg_rules_close(other);
	w->listeners[AGENT] = w->listeners[AGENT + 1] = -1;
	open_rules(w); /* and one of the same name takes the place of what was left */
	pg_rules_close(open_as(w, "doomed"));
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
}

static void unowned_port_is_lost_to_who_took_it(void **state)
{
	struct world *w = *state;
	struct pg_claim claim;
	add(w, PORT, false);
	add(w, 81, false);
	struct pg_rules *other = open_as(w, "other");
	assert_int_equal(add_as(other, PORT, "bob@desk", &claim), -EBUSY);
	sleep_ms(LEASE_MS + 100); /* our agent hangs */
	assert_int_equal(add_as(other, PORT, "bob@desk", &claim), 0);
	assert_int_equal(renew(w->rules), -EBUSY);
	assert_int_equal(renew(w->rules), 0); /* of port 81, which nobody wanted */
	assert_int_equal(renew(other), 0);
	assert_int_equal(add_as(w->rules, PORT, "ann@laptop", &claim), -EBUSY);
	assert_string_equal(claim.holder, "bob@desk");
	pg_rules_close(other);
	assert_int_equal(add_as(w->rules, PORT, "ann@laptop", &claim), 0);
}

/* Claims are tables, too: they must not hide the one in which the leases are. */
static void unowned_port_is_kept_however_many_claims_there_are(void **state)
{
	struct world *w = *state;
	struct pg_claim claim;
	for (uint16_t port = 100; port < 150; port++)
		add(w, port, false);
	struct pg_rules *other = open_as(w, "other");
	assert_int_equal(add_as(other, PORT, "bob@desk", &claim), 0);
	assert_int_equal(add_as(w->rules, PORT, "ann@laptop", &claim), -EBUSY);
	assert_string_equal(claim.holder, "bob@desk");
	pg_rules_close(other);
}

static void unowned_rules_that_are_flushed_are_made_again(void **state)
{
	struct world *w = *state;
	struct pg_err err = { 0 };
	add(w, PORT, false);
	add(w, 81, false);
	assert_int_equal(pg_rules_park(w->rules, PG_INCOMING, 81, true, &err), 0);
	assert_int_equal(RUN("nft", "flush", "ruleset"), 0);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	assert_int_equal(renew(w->rules), 1);
	assert_int_equal(renew(w->rules), 0);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	struct pg_rules *other = open_as(w, "other");
	struct pg_claim claim;
	assert_int_equal(add_as(other, 81, "bob@desk", &claim), -EBUSY);
	assert_string_equal(claim.holder, "ann@laptop");
	assert_int_equal(sh("nft delete table inet podgraft-test"), 0); /* the claims stay */
	assert_int_equal(add_as(other, PORT, "bob@desk", &claim), 0);
	assert_int_equal(renew(w->rules), -EBUSY);
	assert_int_equal(renew(w->rules), 0);
	pg_rules_close(other);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	drop(w, 81);
}

static void unowned_port_that_is_parked_stays_claimed(void **state)
{
	struct world *w = *state;
	struct pg_claim claim;
	struct pg_err err = { 0 };
	add(w, PORT, false);
	assert_int_equal(pg_rules_park(w->rules, PG_INCOMING, PORT, true, &err), 0);
	struct pg_rules *other = open_as(w, "other");
	for (int i = 0; i < 4; i++) {
		assert_int_equal(add_as(other, PORT, "bob@desk", &claim), -EBUSY);
		assert_string_equal(claim.holder, "ann@laptop");
		assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
		sleep_ms(LEASE_MS / 2);
		assert_int_equal(renew(w->rules), 0);
	}
	assert_int_equal(pg_rules_park(w->rules, PG_INCOMING, PORT, false, &err), 0);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	pg_rules_close(other);
}

static void unowned_port_that_was_taken_while_parked_is_seen_when_it_is_armed(void **state)
{
	struct world *w = *state;
	struct pg_claim claim;
	struct pg_err err = { 0 };
	add(w, PORT, false);
	assert_int_equal(pg_rules_park(w->rules, PG_INCOMING, PORT, true, &err), 0);
	struct pg_rules *other = open_as(w, "other");
	sleep_ms(LEASE_MS + 100); /* our agent hangs */
	assert_int_equal(add_as(other, PORT, "bob@desk", &claim), 0);
	assert_int_equal(pg_rules_park(w->rules, PG_INCOMING, PORT, false, &err), -EBUSY);
	assert_false(pg_rules_has(w->rules, PG_INCOMING, PORT, &claim));
	assert_string_equal(claim.holder, "bob@desk");
	pg_rules_close(other);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
}

/* Our agent wakes up, and the first that it hears is that its laptop has gone. */
static void unowned_port_that_was_taken_stays_claimed_by_who_took_it(void **state)
{
	struct world *w = *state;
	struct pg_claim claim;
	add(w, PORT, false);
	add(w, 81, false);
	struct pg_rules *other = open_as(w, "other"), *third = open_as(w, "third");
	sleep_ms(LEASE_MS + 100); /* our agent hangs */
	assert_int_equal(add_as(other, PORT, "bob@desk", &claim), 0);
	assert_int_equal(add_as(other, 81, "bob@desk", &claim), 0);
	drop(w, PORT);
	close_rules(w); /* with port 81 */
	assert_int_equal(add_as(third, PORT, "eve@pc", &claim), -EBUSY);
	assert_string_equal(claim.holder, "bob@desk");
	assert_int_equal(add_as(third, 81, "eve@pc", &claim), -EBUSY);
	assert_string_equal(claim.holder, "bob@desk");
	pg_rules_close(third);
	pg_rules_close(other);
}

/* Its listeners are gone, and who has their port next is not to be turned away. */
static void unowned_shield_of_a_dead_agent_runs_out(void **state)
{
	struct world *w = *state;
	uint16_t port;
	close_rules(w);
	pid_t pid = start_agent(w, "doomed", &port);
	end_agent(pid);
	int next = listen_at("0.0.0.0", port);
	assert_int_equal(dial("127.0.0.1", port), -ECONNREFUSED);
	sleep_ms(LEASE_MS + 100);
	int client = dial("127.0.0.1", port);
	assert_true(client >= 0);
	close(client);
	close(next);
	open_rules(w);
	add(w, PORT, false);                  /* takes the place of the stale claim, */
	pg_rules_close(open_as(w, "doomed")); /* and this that of the table */
}

/* Else a stranger could dial the listeners of an agent that lives. */
static void the_shield_lasts_while_it_is_renewed(void **state)
{
	struct world *w = *state;
	uint16_t port = port_of(w->listeners[AGENT]);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(dial("127.0.0.1", port), -ECONNREFUSED);
		sleep_ms(LEASE_MS / 2);
		assert_int_equal(renew(w->rules), 0);
	}
	sleep_ms(LEASE_MS + 100);
	assert_int_equal(renew(w->rules), 0); /* late */
	assert_int_equal(dial("127.0.0.1", port), -ECONNREFUSED);
}

#define BOTH(test, world)                                               \
	{ "tproxy: " #test, test, make_world, end_world, &(world)[0] }, \
	{                                                               \
		"nat: " #test, test, make_world, end_world, &(world)[1] \
	}

int main(void)
{
	static struct world steady[] = { { .mech = PG_MECH_TPROXY }, { .mech = PG_MECH_NAT } };
	static struct world owned[] = { { .mech = PG_MECH_TPROXY, .lease_ms = LEASE_MS },
					{ .mech = PG_MECH_NAT, .lease_ms = LEASE_MS } };
	static struct world unowned[] = {
		{ .mech = PG_MECH_TPROXY, .lease_ms = LEASE_MS, .no_owner_flag = true },
		{ .mech = PG_MECH_NAT, .lease_ms = LEASE_MS, .no_owner_flag = true }
	};
	const struct CMUnitTest tests[] = {
		BOTH(killed_agent_leaves_nothing, steady),
		BOTH(lease_runs_out_and_comes_back, owned),
		BOTH(renewed_lease_lasts, owned),
		BOTH(second_claimant_is_told_who_was_first, steady),
		BOTH(foreign_hands_change_nothing, steady),
		BOTH(lacking_net_admin_is_said, steady),
		BOTH(lease_runs_out_and_comes_back, unowned),
		BOTH(second_claimant_is_told_who_was_first, unowned),
		BOTH(unowned_rules_of_a_dead_agent_run_out, unowned),
		BOTH(unowned_port_is_lost_to_who_took_it, unowned),
		BOTH(unowned_port_is_kept_however_many_claims_there_are, unowned),
		BOTH(unowned_rules_that_are_flushed_are_made_again, unowned),
		BOTH(unowned_port_that_is_parked_stays_claimed, unowned),
		BOTH(unowned_port_that_was_taken_while_parked_is_seen_when_it_is_armed, unowned),
		BOTH(unowned_port_that_was_taken_stays_claimed_by_who_took_it, unowned),
		BOTH(unowned_shield_of_a_dead_agent_runs_out, unowned),
		BOTH(the_shield_lasts_while_it_is_renewed, owned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
