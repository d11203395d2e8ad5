/* Redirects on the real kernel, each promise with both mechanisms: outside clients come over a veth
 * pair, inside clients over lo. */
#include "agent/rules.h"

#include <stdlib.h>

#include "agent/test_world.h"
#include "proto/base/mem.h"

static void takes_outside_clients(void **state)
{
	struct world *w = *state;
	struct conn c;
	int keeps_alive = 0;
	socklen_t len = sizeof(keeps_alive);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	add(w, PORT, false);
	assert_int_equal(connect_from(w, w->ns.outside, POD4, 0, &c), AGENT);
	check_ends(w, &c, POD4 ":8080");
	assert_int_equal(getsockopt(c.server, SOL_SOCKET, SO_KEEPALIVE, &keeps_alive, &len), 0);
	assert_int_equal(keeps_alive, 1);
	assert_int_equal(alive(c.client, c.server), 0);
	hang_up(&c);
	assert_int_equal(connect_from(w, w->ns.outside, POD6, 0, &c), AGENT);
	check_ends(w, &c, "[" POD6 "]:8080");
	assert_int_equal(alive(c.client, c.server), 0);
	hang_up(&c);
	drop(w, PORT);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	assert_int_equal(answers(w, w->ns.outside, POD6, 0), APP);
}

static void takes_inside_clients(void **state)
{
	static const char *const hosts[] = { POD4, "127.0.0.1", POD6, "::1" };
	static const char *const wanted[] = { POD4 ":8080", "127.0.0.1:8080", "[" POD6 "]:8080",
					      "[::1]:8080" };
	struct world *w = *state;
	add(w, PORT, false);
	for (size_t i = 0; i < PG_LEN(hosts); i++) {
		struct conn c;
		assert_int_equal(connect_from(w, w->ns.pod, hosts[i], 0, &c), AGENT);
		check_ends(w, &c, wanted[i]);
		assert_int_equal(alive(c.client, c.server), 0);
		hang_up(&c);
	}
}

static void no_local_leaves_inside_clients(void **state)
{
	struct world *w = *state;
	add(w, PORT, true);
	assert_int_equal(answers(w, w->ns.pod, "127.0.0.1", 0), APP);
	assert_int_equal(answers(w, w->ns.pod, POD4, 0), APP);
	assert_int_equal(answers(w, w->ns.pod, POD6, 0), APP);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	assert_int_equal(answers(w, w->ns.outside, POD6, 0), AGENT);
}

static void own_sockets_reach_the_app(void **state)
{
	struct world *w = *state;
	add(w, PORT, false);
	assert_int_equal(answers(w, w->ns.pod, POD4, PG_MARK), APP);
	assert_int_equal(answers(w, w->ns.pod, "127.0.0.1", PG_MARK), APP);
	assert_int_equal(answers(w, w->ns.pod, POD6, PG_MARK), APP);
	assert_int_equal(answers(w, w->ns.outside, POD4, PG_MARK),
			 AGENT); /* a mark ends at the pod */
}

/* A parked port is the app's, and still claimed: it can be taken again at any time. */
static void parked_ports_reach_the_app(void **state)
{
	struct world *w = *state;
	struct pg_err err = { 0 };
	add(w, PORT, false);
	assert_int_equal(pg_rules_park(w->rules, PG_INCOMING, PORT, true, &err), 0);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	assert_int_equal(pg_rules_renew(w->rules, &err), 0);
	assert_int_equal(answers(w, w->ns.outside, POD6, 0), APP);
	assert_int_equal(pg_rules_park(w->rules, PG_INCOMING, PORT, true, &err), 0);
	assert_int_equal(pg_rules_park(w->rules, PG_INCOMING, PORT, false, &err), 0);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	assert_int_equal(pg_rules_park(w->rules, PG_INCOMING, PORT, true, &err), 0);
	drop(w, PORT);
	assert_int_equal(pg_rules_park(w->rules, PG_INCOMING, PORT, false, &err), -ENOENT);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
}

/* Connections made before the table was made at all, and before the port was added. */
static void existing_connections_live_on(void **state)
{
	struct world *w = *state;
	struct conn outside, inside, later;
	close_rules(w);
	assert_int_equal(connect_from(w, w->ns.outside, POD4, 0, &outside), APP);
	assert_int_equal(connect_from(w, w->ns.pod, "::1", 0, &inside), APP);
	open_rules(w);
	assert_int_equal(connect_from(w, w->ns.outside, POD6, 0, &later), APP);
	add(w, PORT, false);
	assert_int_equal(alive(outside.client, outside.server), 0);
	assert_int_equal(alive(inside.client, inside.server), 0);
	assert_int_equal(alive(later.client, later.server), 0);
	drop(w, PORT);
	assert_int_equal(alive(outside.client, outside.server), 0);
	assert_int_equal(alive(inside.client, inside.server), 0);
	assert_int_equal(alive(later.client, later.server), 0);
	close_rules(w);
	assert_int_equal(alive(outside.client, outside.server), 0);
	assert_int_equal(alive(inside.client, inside.server), 0);
	assert_int_equal(alive(later.client, later.server), 0);
	hang_up(&outside);
	hang_up(&inside);
	hang_up(&later);
}

static void redirected_connections_survive_removal(void **state)
{
	struct world *w = *state;
	struct conn outside, inside;
	add(w, PORT, false);
	assert_int_equal(connect_from(w, w->ns.outside, POD4, 0, &outside), AGENT);
	assert_int_equal(connect_from(w, w->ns.pod, POD6, 0, &inside), AGENT);
	drop(w, PORT);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	assert_int_equal(alive(outside.client, outside.server), 0);
	assert_int_equal(alive(inside.client, inside.server), 0);
	check_ends(w, &outside, POD4 ":8080");
	shutdown(outside.client, SHUT_WR);
	char byte;
	assert_int_equal(recv(outside.server, &byte, 1, 0), 0); /* the FIN still arrives */
	assert_int_equal(one_byte(outside.server, outside.client), 0);
	hang_up(&outside);
	hang_up(&inside);
}

/* The listener is no door of its own. */
static void direct_dial_is_refused(void **state)
{
	struct world *w = *state;
	struct sockaddr_storage a = { 0 };
	socklen_t len = sizeof(a);
	assert_int_equal(getsockname(w->listeners[AGENT], (struct sockaddr *)&a, &len), 0);
	uint16_t port = ntohs(((struct sockaddr_in *)&a)->sin_port);
	add(w, PORT, false);
	static const char *const inside[] = { "127.0.0.1", "::1", POD4, POD6, "127.0.0.9" };
	for (size_t i = 0; i < PG_LEN(inside); i++)
		assert_int_equal(dial(inside[i], port), -ECONNREFUSED);
	enter(w->ns.outside);
	assert_int_equal(dial(POD4, port), -ECONNREFUSED);
	assert_int_equal(dial(POD6, port), -ECONNREFUSED);
	enter(w->ns.pod);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
}

/* Without the shield (somebody may remove a table that nobody owns) such a connection is told. */
static void direct_dial_is_told(void **state)
{
	struct world *w = *state;
	struct world unowned = { .mech = w->mech, .no_owner_flag = true };
	close_rules(w);
	w->rules = open_as(&unowned, "test");
	pg_rules_listeners(w->rules, w->listeners + AGENT);
	struct sockaddr_storage a = { 0 };
	socklen_t len = sizeof(a);
	assert_int_equal(getsockname(w->listeners[AGENT], (struct sockaddr *)&a, &len), 0);
	assert_int_equal(RUN("nft", "flush", "ruleset"), 0);
	enum pg_direction direction;
	struct conn c;
	c.client = dial("127.0.0.1", ntohs(((struct sockaddr_in *)&a)->sin_port));
	assert_true(c.client >= 0);
	assert_int_equal(accept_any(w->listeners, LISTENERS, &c.server), AGENT);
	assert_int_equal(pg_rules_original(w->rules, c.server, &a, &direction), -ENOENT);
	hang_up(&c);
}

static void own_second_claim_is_refused(void **state)
{
	struct world *w = *state;
	struct pg_err err = { 0 };
	struct pg_claim claim;
	add(w, PORT, false);
	struct pg_rule rule = { .port = PORT, .holder = "ann@laptop" };
	assert_int_equal(pg_rules_add(w->rules, &rule, &claim, &err), -EEXIST);
	assert_int_equal(pg_rules_remove(w->rules, PG_INCOMING, 81, &err), -ENOENT);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
}

/* With SYN cookies the listener is looked for again when the handshake ends. */
static void works_with_syn_cookies(void **state)
{
	struct world *w = *state;
	assert_int_equal(set_sysctl("/proc/sys/net/ipv4/tcp_syncookies", "2"), 0);
	add(w, PORT, false);
	for (int i = 0; i < 5; i++) {
		struct conn c;
		assert_int_equal(connect_from(w, w->ns.outside, i & 1 ? POD6 : POD4, 0, &c), AGENT);
		check_ends(w, &c, i & 1 ? "[" POD6 "]:8080" : POD4 ":8080");
		assert_int_equal(alive(c.client, c.server), 0);
		hang_up(&c);
	}
}

static void many_ports(void **state)
{
	struct world *w = *state;
	struct pg_err err = { 0 };
	struct pg_claim claim;
	for (int i = 0; i < PG_RULES_MAX; i++)
		add(w, (uint16_t)(PORT + i), i & 1);
	struct pg_rule one_more = { .port = 80, .holder = "" };
	assert_int_equal(pg_rules_add(w->rules, &one_more, &claim, &err), -ENOSPC);
	assert_int_equal(pg_rules_renew(w->rules, &err), 0);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	for (int i = PG_RULES_MAX - 1; i > 0; i--)
		drop(w, (uint16_t)(PORT + i));
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
}

static void pod_without_ipv6(void **state)
{
	struct world *w = *state;
	close_rules(w);
	assert_int_equal(set_sysctl("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"), 0);
	open_rules(w);
	add(w, PORT, false);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	assert_int_equal(answers(w, w->ns.pod, "127.0.0.1", 0), AGENT);
}

static void out_of_memory_is_said(void **state)
{
	struct world *w = *state;
	struct pg_rules_config config = { .owner_tag = "hungry", .force = w->mech };
	struct pg_rules *rules = NULL;
	int code = -ENOMEM;
	for (size_t n = 0; code < 0 && n < 100; n++) {
		struct pg_err err = { 0 };
		pg_mem_fail_after(n);
		code = pg_rules_open(&config, &rules, &err);
		assert_true(code == 0 || code == -ENOMEM);
	}
	pg_mem_fail_after((size_t)-1);
	assert_int_equal(code, 0);
	pg_rules_close(rules);
}

static void pod_without_nat_gets_tproxy(void **state)
{
	struct world *w = *state;
	close_rules(w);
	w->rules = open_as(&(struct world){ .mech = PG_MECH_AUTO }, "test");
	assert_string_equal(pg_rules_mechanism(w->rules, PG_INCOMING), "tproxy");
}

/* What passes through the pod on its way elsewhere is left alone. */
static void forwarded_connections_are_left_alone(void **state)
{
	struct world *w = *state;
	struct conn c;
	assert_int_equal(set_sysctl("/proc/sys/net/ipv4/ip_forward", "1"), 0);
	assert_int_equal(sh("ip link add far0 type veth peer name far1 && "
			    "ip addr add 10.88.0.1/24 dev far0 && ip link set far0 up && "
			    "ip link set far1 up"),
			 0);
	add(w, PORT, false);
	enter(w->ns.outside);
	assert_int_equal(sh("ip route add 10.88.0.0/24 via " POD4), 0);
	assert_int_equal(connect_from(w, w->ns.outside, "10.88.0.1", 0, &c), AGENT);
	hang_up(&c);
	assert_int_equal(connect_from(w, w->ns.outside, "10.88.0.7", 0, &c), NOBODY);
}

#define BOTH(test)                                                     \
	{ "tproxy: " #test, test, make_world, end_world, &worlds[0] }, \
	{                                                              \
		"nat: " #test, test, make_world, end_world, &worlds[1] \
	}

int main(void)
{
	static struct world worlds[] = { { .mech = PG_MECH_TPROXY }, { .mech = PG_MECH_NAT } };
	const struct CMUnitTest tests[] = {
		BOTH(takes_outside_clients),
		BOTH(takes_inside_clients),
		BOTH(no_local_leaves_inside_clients),
		BOTH(own_sockets_reach_the_app),
		BOTH(parked_ports_reach_the_app),
		BOTH(existing_connections_live_on),
		BOTH(redirected_connections_survive_removal),
		BOTH(direct_dial_is_refused),
		BOTH(direct_dial_is_told),
		BOTH(own_second_claim_is_refused),
		BOTH(works_with_syn_cookies),
		BOTH(many_ports),
		BOTH(pod_without_ipv6),
		BOTH(forwarded_connections_are_left_alone),
		BOTH(out_of_memory_is_said),
		BOTH(pod_without_nat_gets_tproxy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
