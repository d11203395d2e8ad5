/* Redirects in a pod whose own NAT leads connections through a mesh's proxy: that of Istio and that
 * of Linkerd, with the rules that they make, by iptables-nft and by iptables-legacy. The proxy is
 * played by listeners and by connections of its uid. */
#include "agent/rules.h"

#include <stdlib.h>
#include <sys/fsuid.h>

#include "agent/mech.h"
#include "agent/test_world.h"

struct mesh_kind {
	const char *script; /* beside this file */
	uid_t uid;
	uint16_t in, out;        /* where the proxy listens */
	uint16_t unproxied;      /* a port that it leaves alone */
	const char *leg4, *leg6; /* where it dials the app from; NULL: as the kernel likes */
	int to_itself;           /* who is the next when the proxy dials the pod's address */
};

enum { PROXY_IN = LISTENERS, PROXY_OUT = LISTENERS + 2, FAR = LISTENERS + 4, ALL = FAR + 2 };

static const struct mesh_kind istio = { .script = "./test_mesh_istio.sh",
					.uid = 1337,
					.in = 15006,
					.out = 15001,
					.unproxied = 15020,
					.leg4 = "127.0.0.6",
					.leg6 = "::6",
					.to_itself = PROXY_IN };
static const struct mesh_kind linkerd = { .script = "./test_mesh_linkerd.sh",
					  .uid = 2102,
					  .in = 4143,
					  .out = 4140,
					  .unproxied = 4191,
					  .to_itself = AGENT };

struct mesh {
	struct world w; /* first: its functions take it */
	const struct mesh_kind *kind;
	const char *flavour;
	int more[ALL - LISTENERS]; /* the proxy's inbound and outbound ones, and a server outside */
	char before[16384];        /* the mesh's rules */
};

/* The mesh's rules, byte for byte. */
static void save(const struct mesh *m, char *out, size_t cap)
{
	char line[128];
	snprintf(line, sizeof(line),
		 "for x in ip ip6; do ${x}tables-%s-save -t nat; done | "
		 "sed '/^#/d; s/ \\[.*\\]//'",
		 m->flavour);
	assert_true(printed(line, out, cap) > 500);
}

static int make_mesh(void **state)
{
	struct mesh *m = *state;
	struct world *w = &m->w;
	if (netns_make(&w->ns) < 0)
		return -1;
	char four[32], six[32];
	snprintf(four, sizeof(four), "iptables-%s", m->flavour);
	snprintf(six, sizeof(six), "ip6tables-%s", m->flavour);
	if (RUN(m->kind->script, four) != 0 || RUN(m->kind->script, six) != 0 ||
	    sh("ip addr add ::6/128 dev lo nodad && " WAIT_FOR_ADDRESS("::6")) != 0)
		return -1;
	save(m, m->before, sizeof(m->before));
	for (int i = 0; i < 2; i++) {
		const char *any = i ? "::" : "0.0.0.0";
		w->listeners[APP + i] = listen_at(any, PORT);
		m->more[PROXY_IN + i - LISTENERS] = listen_at(any, m->kind->in);
		m->more[PROXY_OUT + i - LISTENERS] = listen_at(any, m->kind->out);
		enter(w->ns.outside);
		m->more[FAR + i - LISTENERS] = listen_at(any, PORT);
		enter(w->ns.pod);
	}
	open_rules(w);
	return 0;
}

static int end_mesh(void **state)
{
	static char after[sizeof(((struct mesh *)0)->before)];
	struct mesh *m = *state;
	for (size_t i = 0; i < PG_LEN(m->more); i++)
		close(m->more[i]);
	close_rules(&m->w);
	save(m, after, sizeof(after));
	int rc = end_world(state);
	if (strcmp(m->before, after) != 0)
		printf("the mesh's rules were:\n%s\nand are:\n%s\n", m->before, after);
	return strcmp(m->before, after) != 0 ? -1 : rc;
}

static int add_rule(struct mesh *m, struct pg_rule rule)
{
	struct pg_err err = { 0 };
	struct pg_claim claim;
	rule.holder = "ann@laptop";
	rule.port = rule.port ? rule.port : PORT;
	int code = pg_rules_add(m->w.rules, &rule, &claim, &err);
	pg_rules_listeners(m->w.rules, m->w.listeners + AGENT);
	return code;
}

/* Somebody, of `uid` and by `from` (NULL: as the kernel likes) and with a mark, dials: who is the
 * next, with *c. */
struct caller {
	int ns;
	uid_t uid;
	const char *from;
	uint32_t mark;
};

static int next_of(struct mesh *m, struct caller who, const char *host, uint16_t port,
		   struct conn *c)
{
	int all[ALL];
	memcpy(all, m->w.listeners, sizeof(m->w.listeners));
	memcpy(all + LISTENERS, m->more, sizeof(m->more));
	enter(who.ns);
	setfsuid(who.uid);
	c->client = dial_as(who.from, who.mark, host, port, 1000);
	setfsuid(0);
	enter(m->w.ns.pod);
	if (c->client < 0)
		return NOBODY;
	int got = accept_any(all, ALL, &c->server);
	if (got < 0)
		close(c->client);
	return got < 0 ? NOBODY : got / 2 * 2;
}

static int next(struct mesh *m, struct caller who, const char *host)
{
	struct conn c;
	int got = next_of(m, who, host, PORT, &c);
	if (got != NOBODY)
		hang_up(&c);
	return got;
}

static struct caller outside(const struct mesh *m)
{
	return (struct caller){ .ns = m->w.ns.outside };
}

static struct caller inside(const struct mesh *m)
{
	return (struct caller){ .ns = m->w.ns.pod };
}

/* The proxy, as it dials the app for a client of outside. */
static struct caller proxy(const struct mesh *m, const char *host)
{
	return (struct caller){ .ns = m->w.ns.pod,
				.uid = m->kind->uid,
				.from = strchr(host, ':') ? m->kind->leg6 : m->kind->leg4 };
}

static void nat_is_chosen(void **state)
{
	struct mesh *m = *state;
	assert_string_equal(pg_rules_mechanism(m->w.rules, PG_INCOMING), "nat");
}

static void plaintext_leg_is_taken(void **state)
{
	struct mesh *m = *state;
	struct world *w = &m->w;
	struct conn four, six;
	assert_int_equal(next(m, proxy(m, POD4), POD4), APP);
	assert_int_equal(add_rule(m, (struct pg_rule){ 0 }), 0);
	assert_int_equal(next(m, outside(m), POD4), PROXY_IN);
	assert_int_equal(next(m, outside(m), POD6), PROXY_IN);
	assert_int_equal(next_of(m, proxy(m, POD4), POD4, PORT, &four), AGENT);
	check_ends(w, &four, POD4 ":8080");
	assert_int_equal(next_of(m, proxy(m, POD6), POD6, PORT, &six), AGENT);
	check_ends(w, &six, "[" POD6 "]:8080");
	assert_int_equal(next(m, inside(m), "127.0.0.1"), AGENT);
	assert_int_equal(next(m, (struct caller){ .ns = w->ns.pod, .mark = PG_MARK }, POD4), APP);
	drop(w, PORT);
	assert_int_equal(alive(four.client, four.server), 0);
	assert_int_equal(alive(six.client, six.server), 0);
	close_rules(w); /* the mesh's own rules keep what is left of the NAT alive */
	assert_int_equal(alive(four.client, four.server), 0);
	assert_int_equal(alive(six.client, six.server), 0);
	hang_up(&four);
	hang_up(&six);
	assert_int_equal(next(m, proxy(m, POD4), POD4), APP);
}

static void no_local_takes_the_plaintext_leg_alone(void **state)
{
	struct mesh *m = *state;
	assert_int_equal(add_rule(m, (struct pg_rule){ .no_local = true }), 0);
	assert_int_equal(next(m, inside(m), POD4), APP);
	assert_int_equal(next(m, inside(m), "::1"), APP);
	assert_int_equal(next(m, proxy(m, POD4), POD4), AGENT);
	assert_int_equal(next(m, proxy(m, POD6), POD6), AGENT);
}

static void wire_takes_the_leg_as_sent(void **state)
{
	struct mesh *m = *state;
	struct world *w = &m->w;
	struct conn c;
	assert_int_equal(next(m, outside(m), POD4), PROXY_IN);
	assert_int_equal(add_rule(m, (struct pg_rule){ .wire = true }), 0);
	assert_int_equal(next_of(m, outside(m), POD4, PORT, &c), AGENT);
	check_ends(w, &c, POD4 ":8080");
	hang_up(&c);
	assert_int_equal(next_of(m, outside(m), POD6, PORT, &c), AGENT);
	check_ends(w, &c, "[" POD6 "]:8080");
	hang_up(&c);
	assert_int_equal(next(m, proxy(m, POD4), POD4), APP);
	drop(w, PORT);
	assert_int_equal(next(m, outside(m), POD4), PROXY_IN);
}

static uint32_t mark_for(const struct mesh *m, const char *from, const char *to)
{
	struct sockaddr_storage peer, local;
	sock_address(&peer, from, 40000);
	sock_address(&local, to, PORT);
	return pg_rules_mark_wire(m->w.rules, &peer, &local);
}

/* Nobody but the proxy understands the leg as sent, so that is where it goes in the laptop's place;
 * the proxy learns where it was going. */
static void what_was_sent_by_wire_is_handed_to_the_proxy(void **state)
{
	static const char *const hosts[] = { POD4, POD6 };
	static const char *const wanted[] = { POD4 ":8080", "[" POD6 "]:8080" };
	struct mesh *m = *state;
	struct caller agent = { .ns = m->w.ns.pod, .mark = PG_MARK_WIRE };
	assert_int_equal(mark_for(m, OUTSIDE4, POD4), PG_MARK_WIRE);
	assert_int_equal(mark_for(m, OUTSIDE6, POD6), PG_MARK_WIRE);
	assert_int_equal(mark_for(m, POD4, POD4), PG_MARK);
	assert_int_equal(mark_for(m, "127.0.0.1", "127.0.0.1"), PG_MARK);
	assert_int_equal(mark_for(m, "127.0.0.6", POD4), PG_MARK);
	assert_int_equal(mark_for(m, "::1", "::1"), PG_MARK);
	assert_int_equal(mark_for(m, "::6", POD6), PG_MARK);
	assert_int_equal(add_rule(m, (struct pg_rule){ .wire = true }), 0);
	for (size_t i = 0; i < PG_LEN(hosts); i++) {
		struct conn c;
		struct sockaddr_storage own = { 0 }, to = { 0 };
		socklen_t len = sizeof(own);
		char text[PG_ADDR_TEXT];
		assert_int_equal(next_of(m, agent, hosts[i], PORT, &c), PROXY_IN);
		assert_int_equal(getsockname(c.server, (struct sockaddr *)&own, &len), 0);
		assert_int_equal(pg_mech_nat.original(c.server, &own, &to), 0);
		assert_string_equal(sock_text(&to, text), wanted[i]);
		assert_int_equal(alive(c.client, c.server), 0);
		hang_up(&c);
	}
}

/* A port that the mesh leaves alone has but one leg. */
static void unproxied_port_is_taken(void **state)
{
	struct mesh *m = *state;
	struct conn c;
	assert_int_equal(add_rule(m, (struct pg_rule){ .port = m->kind->unproxied }), 0);
	assert_int_equal(next_of(m, outside(m), POD4, m->kind->unproxied, &c), AGENT);
	hang_up(&c);
}

/* The pod calling itself by its service: what Istio's proxy sends from the pod's address is for its
 * inbound side, not for the app; Linkerd's dials the app, in plain text. */
static void the_proxy_talks_to_its_own_pod(void **state)
{
	struct mesh *m = *state;
	assert_int_equal(add_rule(m, (struct pg_rule){ 0 }), 0);
	struct caller who = { .ns = m->w.ns.pod, .uid = m->kind->uid };
	assert_int_equal(next(m, who, POD4), m->kind->to_itself);
	assert_int_equal(next(m, who, POD6), m->kind->to_itself);
}

static void existing_connections_live_on(void **state)
{
	struct mesh *m = *state;
	struct world *w = &m->w;
	struct conn leg, wire, out;
	close_rules(w);
	assert_int_equal(next_of(m, proxy(m, POD4), POD4, PORT, &leg), APP);
	assert_int_equal(next_of(m, outside(m), POD6, PORT, &wire), PROXY_IN);
	assert_int_equal(next_of(m, inside(m), OUTSIDE4, PORT, &out), PROXY_OUT);
	open_rules(w);
	assert_int_equal(add_rule(m, (struct pg_rule){ 0 }), 0);
	assert_int_equal(add_rule(m, (struct pg_rule){ .direction = PG_OUTGOING }), 0);
	for (int ended = 0; ended < 2; ended++) {
		assert_int_equal(alive(leg.client, leg.server), 0);
		assert_int_equal(alive(wire.client, wire.server), 0);
		assert_int_equal(alive(out.client, out.server), 0);
		close_rules(w);
	}
	hang_up(&leg);
	hang_up(&wire);
	hang_up(&out);
}

/* What arrives is what the app has written; what it would have come to is the proxy, and that is
 * where the agent's own connection goes in the laptop's place. */
static void outgoing_is_taken_before_the_mesh(void **state)
{
	static const char *const hosts[] = { OUTSIDE4, OUTSIDE6 };
	static const char *const wanted[] = { OUTSIDE4 ":8080", "[" OUTSIDE6 "]:8080" };
	struct mesh *m = *state;
	struct pg_err err = { 0 };
	struct caller agent = { .ns = m->w.ns.pod, .mark = PG_MARK };
	assert_int_equal(add_rule(m, (struct pg_rule){ .direction = PG_OUTGOING }), 0);
	for (size_t i = 0; i < PG_LEN(hosts); i++) {
		struct conn c;
		assert_int_equal(next_of(m, inside(m), hosts[i], PORT, &c), AGENT_OUT);
		check_ends_of(&m->w, AGENT_OUT, &c, wanted[i]);
		hang_up(&c);
		assert_int_equal(next(m, agent, hosts[i]), PROXY_OUT);
	}
	assert_int_equal(next(m, outside(m), POD4), PROXY_IN);
	assert_int_equal(next(m, proxy(m, POD4), POD4), APP);
	assert_int_equal(pg_rules_remove(m->w.rules, PG_OUTGOING, PORT, &err), 0);
	assert_int_equal(next(m, inside(m), OUTSIDE6), PROXY_OUT);
}

static void what_the_proxy_sends_is_left_alone(void **state)
{
	struct mesh *m = *state;
	struct caller who = { .ns = m->w.ns.pod, .uid = m->kind->uid };
	struct pg_rule rule = { .direction = PG_OUTGOING, .only_uid = true, .uid = m->kind->uid };
	assert_int_equal(add_rule(m, rule), -EINVAL);
	assert_int_equal(add_rule(m, (struct pg_rule){ .direction = PG_OUTGOING }), 0);
	assert_int_equal(next(m, who, OUTSIDE4), FAR);
	assert_int_equal(next(m, who, OUTSIDE6), FAR);
}

#define OF(test, n, what)                                              \
	{                                                              \
		what ": " #test, test, make_mesh, end_mesh, &meshes[n] \
	}
#define ALL_OF(test)                                                               \
	OF(test, 0, "istio, iptables-nft"), OF(test, 1, "istio, iptables-legacy"), \
		OF(test, 2, "linkerd, iptables-nft"), OF(test, 3, "linkerd, iptables-legacy")

int main(void)
{
	static struct mesh meshes[] = { { .kind = &istio, .flavour = "nft" },
					{ .kind = &istio, .flavour = "legacy" },
					{ .kind = &linkerd, .flavour = "nft" },
					{ .kind = &linkerd, .flavour = "legacy" } };
	const struct CMUnitTest tests[] = {
		ALL_OF(nat_is_chosen),
		ALL_OF(plaintext_leg_is_taken),
		ALL_OF(no_local_takes_the_plaintext_leg_alone),
		ALL_OF(wire_takes_the_leg_as_sent),
		ALL_OF(what_was_sent_by_wire_is_handed_to_the_proxy),
		ALL_OF(unproxied_port_is_taken),
		ALL_OF(the_proxy_talks_to_its_own_pod),
		ALL_OF(existing_connections_live_on),
		ALL_OF(outgoing_is_taken_before_the_mesh),
		ALL_OF(what_the_proxy_sends_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
