/* Outgoing redirects on the real kernel, beside either mechanism of the incoming ones: the pod
 * dials servers outside, or itself. */
#include "agent/rules.h"

#include <stdlib.h>
#include <sys/fsuid.h>

#include "agent/test_world.h"
#include "proto/base/mem.h"

#define ELSEWHERE4 "10.77.0.9" /* of outside as well */
#define ELSEWHERE6 "fd77::9"

struct out_world {
	struct world w; /* first: its functions take it */
	int far[2];     /* listeners outside, on every address */
};

static int make_out(void **state)
{
	struct out_world *o = *state;
	int rc = make_world(state);
	if (rc < 0)
		return rc;
	enter(o->w.ns.outside);
	rc = sh("ip addr add " ELSEWHERE4 "/24 dev out0 && "
		"ip addr add " ELSEWHERE6 "/64 dev out0 nodad && " WAIT_FOR_ADDRESS(ELSEWHERE6));
	o->far[0] = listen_at("0.0.0.0", PORT);
	o->far[1] = listen_at("::", PORT);
	enter(o->w.ns.pod);
	return rc != 0 ? -1
		       : sh("ip neigh add " ELSEWHERE4 " lladdr " OUTSIDE_MAC " dev eth0 && "
			    "ip neigh add " ELSEWHERE6 " lladdr " OUTSIDE_MAC " dev eth0");
}

static int end_out(void **state)
{
	struct out_world *o = *state;
	close(o->far[0]);
	close(o->far[1]);
	return end_world(state);
}

static int add_rule(struct world *w, struct pg_rule rule)
{
	struct pg_err err = { 0 };
	struct pg_claim claim;
	rule.holder = "ann@laptop";
	rule.port = rule.port ? rule.port : PORT;
	int code = pg_rules_add(w->rules, &rule, &claim, &err);
	pg_rules_listeners(w->rules, w->listeners + AGENT);
	return code;
}

/* An outgoing redirect to these networks, ended by NULL. */
static void add_out(struct world *w, const char *const *to)
{
	struct pg_network networks[8];
	struct pg_rule rule = { .direction = PG_OUTGOING, .to = networks };
	for (; to && to[rule.to_count]; rule.to_count++)
		assert_int_equal(pg_network_parse(to[rule.to_count], &networks[rule.to_count]), 0);
	assert_int_equal(add_rule(w, rule), 0);
}
#define ADD_OUT(w, ...) add_out(w, (const char *const[]){ __VA_ARGS__, NULL })

static void drop_out(struct world *w)
{
	struct pg_err err = { 0 };
	assert_int_equal(pg_rules_remove(w->rules, PG_OUTGOING, PORT, &err), 0);
}

enum { FAR = 100 };

/* The pod dials `host` as `uid`: who answers, AGENT_OUT, AGENT, APP or FAR; with *c. */
static int pod_dials(struct out_world *o, uid_t uid, const char *host, uint32_t mark,
		     struct conn *c)
{
	int all[LISTENERS + 2];
	memcpy(all, o->w.listeners, sizeof(o->w.listeners));
	memcpy(all + LISTENERS, o->far, sizeof(o->far));
	setfsuid(uid);
	c->client = dial_as(NULL, mark, host, PORT, 1000);
	setfsuid(0);
	if (c->client < 0)
		return NOBODY;
	int who = accept_any(all, LISTENERS + 2, &c->server);
	if (who < 0)
		close(c->client);
	return who < 0 ? NOBODY : who < LISTENERS ? who / 2 * 2 : FAR;
}

static int dials(struct out_world *o, const char *host)
{
	struct conn c;
	int who = pod_dials(o, 0, host, 0, &c);
	if (who != NOBODY)
		hang_up(&c);
	return who;
}

static int dials_as(struct out_world *o, uid_t uid, const char *host)
{
	struct conn c;
	int who = pod_dials(o, uid, host, 0, &c);
	if (who != NOBODY)
		hang_up(&c);
	return who;
}

static void takes_what_the_pod_dials(void **state)
{
	static const char *const hosts[] = { OUTSIDE4, OUTSIDE6 };
	static const char *const wanted[] = { OUTSIDE4 ":8080", "[" OUTSIDE6 "]:8080" };
	struct out_world *o = *state;
	assert_int_equal(dials(o, OUTSIDE4), FAR);
	add_out(&o->w, NULL);
	for (size_t i = 0; i < PG_LEN(hosts); i++) {
		struct conn c;
		assert_int_equal(pod_dials(o, 0, hosts[i], 0, &c), AGENT_OUT);
		check_ends_of(&o->w, AGENT_OUT, &c, wanted[i]);
		assert_int_equal(alive(c.client, c.server), 0);
		hang_up(&c);
	}
	drop_out(&o->w);
	assert_int_equal(dials(o, OUTSIDE4), FAR);
	assert_int_equal(dials(o, OUTSIDE6), FAR);
}

static void leaves_connections_to_the_pod_alone(void **state)
{
	struct out_world *o = *state;
	add_out(&o->w, NULL);
	assert_int_equal(dials(o, POD4), APP);
	assert_int_equal(dials(o, POD6), APP);
	assert_int_equal(dials(o, "127.0.0.1"), APP);
	assert_int_equal(answers(&o->w, o->w.ns.outside, POD4, 0), APP);
	assert_int_equal(answers(&o->w, o->w.ns.outside, POD6, 0), APP);
}

static void own_connections_never_loop(void **state)
{
	struct out_world *o = *state;
	struct conn c;
	add_out(&o->w, NULL);
	assert_int_equal(pod_dials(o, 0, OUTSIDE4, PG_MARK, &c), FAR);
	hang_up(&c);
	assert_int_equal(pod_dials(o, 0, OUTSIDE6, PG_MARK, &c), FAR);
	hang_up(&c);
}

static void only_to_those_named(void **state)
{
	struct out_world *o = *state;
	ADD_OUT(&o->w, ELSEWHERE4);
	assert_int_equal(dials(o, ELSEWHERE4), AGENT_OUT);
	assert_int_equal(dials(o, OUTSIDE4), FAR);
	assert_int_equal(dials(o, ELSEWHERE6), FAR);
	drop_out(&o->w);
	ADD_OUT(&o->w, "10.77.0.8/29", ELSEWHERE6);
	assert_int_equal(dials(o, ELSEWHERE4), AGENT_OUT);
	assert_int_equal(dials(o, ELSEWHERE6), AGENT_OUT);
	assert_int_equal(dials(o, OUTSIDE4), FAR);
	assert_int_equal(dials(o, OUTSIDE6), FAR);
	drop_out(&o->w);
	ADD_OUT(&o->w, ELSEWHERE4, "10.77.0.0/24", "10.0.0.0/8", "0.0.0.0/0", "fd77::/16");
	assert_int_equal(dials(o, OUTSIDE4), AGENT_OUT);
	assert_int_equal(dials(o, OUTSIDE6), AGENT_OUT);
}

static void only_of_one_user(void **state)
{
	struct out_world *o = *state;
	struct pg_network to;
	struct pg_rule rule = { .direction = PG_OUTGOING, .only_uid = true, .uid = 1000 };
	assert_int_equal(add_rule(&o->w, rule), 0);
	assert_int_equal(dials_as(o, 1000, OUTSIDE4), AGENT_OUT);
	assert_int_equal(dials_as(o, 1000, OUTSIDE6), AGENT_OUT);
	assert_int_equal(dials_as(o, 1001, OUTSIDE4), FAR);
	assert_int_equal(dials_as(o, 0, OUTSIDE4), FAR);
	drop_out(&o->w);
	assert_int_equal(pg_network_parse(ELSEWHERE4, &to), 0);
	rule = (struct pg_rule){
		.direction = PG_OUTGOING, .only_uid = true, .uid = 0, .to = &to, .to_count = 1
	};
	assert_int_equal(add_rule(&o->w, rule), 0);
	assert_int_equal(dials_as(o, 0, ELSEWHERE4), AGENT_OUT);
	assert_int_equal(dials_as(o, 0, OUTSIDE4), FAR);
	assert_int_equal(dials_as(o, 1000, ELSEWHERE4), FAR);
	/* A proxy's uid is one like any other where there is no mesh. */
	rule = (struct pg_rule){
		.direction = PG_OUTGOING, .port = 81, .only_uid = true, .uid = 1337
	};
	assert_int_equal(add_rule(&o->w, rule), 0);
}

/* Each direction has its rule, its claim, and its end. */
static void one_port_goes_both_ways(void **state)
{
	struct out_world *o = *state;
	struct world *w = &o->w;
	char text[8192];
	add(w, PORT, false);
	add_out(w, NULL);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), AGENT);
	assert_int_equal(dials(o, POD6), AGENT);
	assert_int_equal(dials(o, OUTSIDE4), AGENT_OUT);
	ruleset(text, sizeof(text));
	assert_non_null(strstr(text, "podgraft-tcp-8080"));
	assert_non_null(strstr(text, "podgraft-out-tcp-8080"));
	drop(w, PORT);
	assert_int_equal(answers(w, w->ns.outside, POD4, 0), APP);
	assert_int_equal(dials(o, OUTSIDE6), AGENT_OUT);
	add(w, PORT, false);
	drop_out(w);
	assert_int_equal(dials(o, OUTSIDE6), FAR);
	assert_int_equal(answers(w, w->ns.outside, POD6, 0), AGENT);
}

static void existing_connections_live_on(void **state)
{
	struct out_world *o = *state;
	struct conn before, later;
	close_rules(&o->w);
	assert_int_equal(pod_dials(o, 0, OUTSIDE4, 0, &before), FAR);
	open_rules(&o->w);
	assert_int_equal(pod_dials(o, 0, OUTSIDE6, 0, &later), FAR);
	add_out(&o->w, NULL);
	assert_int_equal(alive(before.client, before.server), 0);
	assert_int_equal(alive(later.client, later.server), 0);
	drop_out(&o->w);
	assert_int_equal(alive(before.client, before.server), 0);
	assert_int_equal(alive(later.client, later.server), 0);
	close_rules(&o->w);
	assert_int_equal(alive(before.client, before.server), 0);
	assert_int_equal(alive(later.client, later.server), 0);
	hang_up(&before);
	hang_up(&later);
}

/* Incoming ones also, though the kernel begins to track them in their middle. */
static void redirected_connections_live_on(void **state)
{
	struct out_world *o = *state;
	struct world *w = &o->w;
	struct conn in, out;
	add(w, PORT, false);
	assert_int_equal(connect_from(w, w->ns.outside, POD4, 0, &in), AGENT);
	add_out(w, NULL);
	assert_int_equal(alive(in.client, in.server), 0);
	assert_int_equal(pod_dials(o, 0, OUTSIDE4, 0, &out), AGENT_OUT);
	drop_out(w);
	drop(w, PORT);
	assert_int_equal(alive(in.client, in.server), 0);
	assert_int_equal(alive(out.client, out.server), 0);
	check_ends_of(w, AGENT_OUT, &out, OUTSIDE4 ":8080");
	hang_up(&in);
	hang_up(&out);
}

static void parked_goes_where_it_meant(void **state)
{
	struct out_world *o = *state;
	struct pg_err err = { 0 };
	add_out(&o->w, NULL);
	assert_int_equal(pg_rules_park(o->w.rules, PG_OUTGOING, PORT, true, &err), 0);
	assert_int_equal(dials(o, OUTSIDE4), FAR);
	assert_int_equal(pg_rules_renew(o->w.rules, &err), 0);
	assert_int_equal(dials(o, OUTSIDE6), FAR);
	assert_int_equal(pg_rules_park(o->w.rules, PG_INCOMING, PORT, false, &err), -ENOENT);
	assert_int_equal(pg_rules_park(o->w.rules, PG_OUTGOING, PORT, false, &err), 0);
	assert_int_equal(dials(o, OUTSIDE4), AGENT_OUT);
}

/* Of the listeners for outgoing connections. */
static uint16_t own_port(const struct world *w)
{
	struct sockaddr_storage a = { 0 };
	socklen_t len = sizeof(a);
	assert_int_equal(getsockname(w->listeners[AGENT_OUT], (struct sockaddr *)&a, &len), 0);
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

/* An agent that hangs: its lease runs out; it goes on, and takes the port again. */
static void lease_runs_out_and_comes_back(void **state)
{
	struct out_world *o = *state;
	struct pg_err err = { 0 };
	close_rules(&o->w);
	o->w.lease_ms = 300;
	open_rules(&o->w);
	o->w.lease_ms = 0;
	ADD_OUT(&o->w, "10.77.0.0/24", "fd77::/16");
	assert_int_equal(dials(o, OUTSIDE4), AGENT_OUT);
	usleep(400000);
	assert_int_equal(dials(o, OUTSIDE4), FAR);
	int stranger = dial("127.0.0.1", own_port(&o->w)); /* the shield has a lease, too */
	assert_true(stranger >= 0);
	close(stranger);
	assert_int_equal(pg_rules_renew(o->w.rules, &err), 0);
	assert_int_equal(dial("127.0.0.1", own_port(&o->w)), -ECONNREFUSED);
	assert_int_equal(dials(o, OUTSIDE6), AGENT_OUT);
	usleep(400000);
	drop_out(&o->w);
	ADD_OUT(&o->w, "10.77.0.0/24");
	assert_int_equal(dials(o, OUTSIDE4), AGENT_OUT);
}

static void direct_dial_is_refused(void **state)
{
	struct out_world *o = *state;
	struct world *w = &o->w;
	add_out(w, NULL);
	uint16_t port = own_port(w);
	static const char *const inside[] = { "127.0.0.1", "::1", POD4, POD6, "127.0.0.9" };
	for (size_t i = 0; i < PG_LEN(inside); i++)
		assert_int_equal(dial(inside[i], port), -ECONNREFUSED);
	enter(w->ns.outside);
	assert_int_equal(dial(POD4, port), -ECONNREFUSED);
	assert_int_equal(dial(POD6, port), -ECONNREFUSED);
	enter(w->ns.pod);
	assert_int_equal(dials(o, OUTSIDE4), AGENT_OUT);
}

static void second_claim_is_refused(void **state)
{
	struct out_world *o = *state;
	struct pg_err err = { 0 };
	struct pg_claim claim;
	struct pg_rule rule = { .direction = PG_OUTGOING, .port = PORT, .holder = "bob@desk" };
	add_out(&o->w, NULL);
	assert_int_equal(pg_rules_add(o->w.rules, &rule, &claim, &err), -EEXIST);
	struct pg_rules *other = open_as(&o->w, "other");
	assert_int_equal(pg_rules_add(other, &rule, &claim, &err), -EBUSY);
	assert_string_equal(claim.holder, "ann@laptop");
	rule.direction = PG_INCOMING;
	assert_int_equal(pg_rules_add(other, &rule, &claim, &err), 0);
	pg_rules_close(other);
	assert_int_equal(dials(o, OUTSIDE4), AGENT_OUT);
}

/* As a kernel before 5.12, where claims of the dead stay: incoming and outgoing are apart. */
static void a_stale_claim_is_replaced(void **state)
{
	struct out_world *o = *state;
	struct world *w = &o->w;
	struct world poor = { .mech = w->mech, .no_owner_flag = true, .lease_ms = 100 };
	pid_t pid = fork();
	if (pid == 0) {
		struct pg_err err = { 0 };
		struct pg_claim claim;
		struct pg_rule rule = { .direction = PG_OUTGOING, .port = PORT, .holder = "" };
		struct pg_rules *r = open_as(&poor, "doomed");
		_exit(pg_rules_add(r, &rule, &claim, &err) == 0 ? 0 : 1);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	usleep(150000);
	add_out(w, NULL);
	assert_int_equal(dials(o, OUTSIDE4), AGENT_OUT);
	assert_int_equal(sh("nft delete table inet podgraft-doomed"), 0);
}

static void pod_without_ipv6(void **state)
{
	struct out_world *o = *state;
	close_rules(&o->w);
	assert_int_equal(set_sysctl("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"), 0);
	open_rules(&o->w);
	add_out(&o->w, NULL);
	assert_int_equal(dials(o, OUTSIDE4), AGENT_OUT);
}

static void as_many_networks_as_a_message_has(void **state)
{
	struct out_world *o = *state;
	struct pg_network to[64];
	struct pg_rule rule = { .direction = PG_OUTGOING, .to = to, .to_count = PG_LEN(to) };
	for (size_t i = 0; i < PG_LEN(to); i++) {
		uint8_t bytes[16] = { 0xfd, 0x77, [15] = (uint8_t)(i * 2 + 1) };
		pg_network_set(&to[i], bytes, 16, 128);
	}
	for (uint16_t port = 0; port < 20; port++) {
		rule.port = (uint16_t)(PORT + port);
		assert_int_equal(add_rule(&o->w, rule), 0);
	}
	assert_int_equal(dials(o, OUTSIDE6), AGENT_OUT);
	assert_int_equal(dials(o, OUTSIDE4), FAR);
	drop_out(&o->w);
	assert_int_equal(dials(o, OUTSIDE6), FAR);
}

static void out_of_memory_is_said(void **state)
{
	struct out_world *o = *state;
	int code = -ENOMEM;
	struct pg_rule rule = { .direction = PG_OUTGOING };
	for (size_t n = 0; code < 0 && n < 100; n++) {
		pg_mem_fail_after(n);
		code = add_rule(&o->w, rule);
		assert_true(code == 0 || code == -ENOMEM);
	}
	pg_mem_fail_after((size_t)-1);
	assert_int_equal(code, 0);
	assert_int_equal(dials(o, OUTSIDE4), AGENT_OUT);
}

#define BOTH(test)                                                        \
	{ "beside tproxy: " #test, test, make_out, end_out, &worlds[0] }, \
	{                                                                 \
		"beside nat: " #test, test, make_out, end_out, &worlds[1] \
	}

int main(void)
{
	static struct out_world worlds[] = { { .w.mech = PG_MECH_TPROXY },
					     { .w.mech = PG_MECH_NAT } };
	const struct CMUnitTest tests[] = {
		BOTH(takes_what_the_pod_dials),
		BOTH(leaves_connections_to_the_pod_alone),
		BOTH(own_connections_never_loop),
		BOTH(only_to_those_named),
		BOTH(only_of_one_user),
		BOTH(one_port_goes_both_ways),
		BOTH(existing_connections_live_on),
		BOTH(redirected_connections_live_on),
		BOTH(parked_goes_where_it_meant),
		BOTH(lease_runs_out_and_comes_back),
		BOTH(direct_dial_is_refused),
		BOTH(second_claim_is_refused),
		BOTH(a_stale_claim_is_replaced),
		BOTH(pod_without_ipv6),
		BOTH(as_many_networks_as_a_message_has),
		BOTH(out_of_memory_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
