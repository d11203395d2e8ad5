/* Redirects in a pod whose own NAT leads connections through Istio's proxy, made by iptables-nft
 * and by iptables-legacy. The proxy is played by a listener and by connections of its uid. */
#include "agent/rules.h"

#include <stdlib.h>
#include <sys/fsuid.h>

#include "agent/test_world.h"

enum { ISTIO_UID = 1337, LINKERD_UID = 2102, PROXY_IN = 15006, UNPROXIED = 9090 };

/* What istio-init does, with $1 the program and $2 and $3 the loopback addresses of its family. */
static const char istio_init[] =
	"exec 2>/dev/null\n"
	"nat() { $program -t nat \"$@\"; }\n"
	"program=$1 leg=$2 loopback=$3\n"
	"for chain in INBOUND OUTPUT REDIRECT IN_REDIRECT; do nat -N ISTIO_$chain; done\n"
	"nat -A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001\n"
	"nat -A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006\n"
	"nat -A PREROUTING -p tcp -j ISTIO_INBOUND\n"
	"nat -A ISTIO_INBOUND -p tcp --dport 9090 -j RETURN\n"
	"nat -A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT\n"
	"nat -A OUTPUT -p tcp -j ISTIO_OUTPUT\n"
	"out() { nat -A ISTIO_OUTPUT \"$@\"; }\n"
	"out -s $leg -o lo -j RETURN\n"
	"out -o lo ! -d $loopback -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT\n"
	"out -o lo -m owner ! --uid-owner 1337 -j RETURN\n"
	"out -m owner --uid-owner 1337 -j RETURN\n"
	"out -d $loopback -j RETURN\n"
	"out -j ISTIO_REDIRECT\n";

struct mesh {
	struct world w; /* first: its functions take it */
	const char *flavour;
	int proxy[2]; /* listeners of the proxy */
};

static int make_mesh(void **state)
{
	struct mesh *m = *state;
	struct world *w = &m->w;
	if (netns_make(&w->ns) < 0)
		return -1;
	char four[32], six[32];
	snprintf(four, sizeof(four), "iptables-%s", m->flavour);
	snprintf(six, sizeof(six), "ip6tables-%s", m->flavour);
	if (RUN("sh", "-ec", istio_init, "istio-init", four, "127.0.0.6", "127.0.0.1") != 0 ||
	    RUN("sh", "-ec", istio_init, "istio-init", six, "::6", "::1") != 0 ||
	    sh("ip addr add ::6/128 dev lo nodad && " WAIT_FOR_ADDRESS("::6")) != 0)
		return -1;
	w->listeners[0] = listen_at("0.0.0.0", PORT);
	w->listeners[1] = listen_at("::", PORT);
	m->proxy[0] = listen_at("0.0.0.0", PROXY_IN);
	m->proxy[1] = listen_at("::", PROXY_IN);
	open_rules(w);
	return 0;
}

static int end_mesh(void **state)
{
	struct mesh *m = *state;
	close(m->proxy[0]);
	close(m->proxy[1]);
	return end_world(state);
}

static void add_rule(struct world *w, const struct pg_rule *rule)
{
	struct pg_err err = { 0 };
	struct pg_claim claim;
	if (pg_rules_add(w->rules, rule, &claim, &err) < 0)
		fail_msg("%s", err.what);
}

/* Dials the app as the proxy does for a client of outside. */
static int proxied_by(struct world *w, uid_t uid, const char *from, const char *host,
		      struct conn *c)
{
	setfsuid(uid);
	c->client = dial_as(from, 0, host, PORT, 1000);
	setfsuid(0);
	if (c->client < 0)
		return NOBODY;
	int who = accept_any(w->listeners, LISTENERS, &c->server);
	return who < 0 ? NOBODY : who / 2 * 2;
}

static int proxied(struct world *w, const char *from, const char *host, struct conn *c)
{
	return proxied_by(w, ISTIO_UID, from, host, c);
}

/* A connection from outside arrives at the proxy. */
static bool passes_proxy(struct mesh *m, const char *host)
{
	int fd = -1;
	enter(m->w.ns.outside);
	int client = dial(host, PORT);
	enter(m->w.ns.pod);
	bool passed = client >= 0 && accept_any(m->proxy, 2, &fd) >= 0;
	if (client >= 0)
		close(client);
	if (fd >= 0)
		close(fd);
	return passed;
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
	struct pg_rule rule = { .port = PORT, .holder = "ann@laptop" };
	assert_int_equal(proxied(w, "127.0.0.6", POD4, &four), APP);
	hang_up(&four);
	add_rule(w, &rule);
	assert_true(passes_proxy(m, POD4));
	assert_true(passes_proxy(m, POD6));
	assert_int_equal(proxied(w, "127.0.0.6", POD4, &four), AGENT);
	check_ends(w, &four, POD4 ":8080");
	assert_int_equal(proxied(w, "::6", POD6, &six), AGENT);
	check_ends(w, &six, "[" POD6 "]:8080");
	assert_int_equal(answers(w, w->ns.pod, "127.0.0.1", 0), AGENT);
	assert_int_equal(answers(w, w->ns.pod, POD4, PG_MARK), APP);
	drop(w, PORT);
	assert_int_equal(alive(four.client, four.server), 0);
	assert_int_equal(alive(six.client, six.server), 0);
	close_rules(w); /* the mesh's own rules keep what is left of the NAT alive */
	assert_int_equal(alive(four.client, four.server), 0);
	assert_int_equal(alive(six.client, six.server), 0);
	hang_up(&four);
	hang_up(&six);
	assert_int_equal(proxied(w, "127.0.0.6", POD4, &four), APP);
	hang_up(&four);
}

static void no_local_takes_the_plaintext_leg_alone(void **state)
{
	struct mesh *m = *state;
	struct world *w = &m->w;
	struct conn c;
	struct pg_rule rule = { .port = PORT, .no_local = true, .holder = "ann@laptop" };
	add_rule(w, &rule);
	assert_int_equal(answers(w, w->ns.pod, POD4, 0), APP);
	assert_int_equal(answers(w, w->ns.pod, "::1", 0), APP);
	assert_int_equal(proxied(w, "127.0.0.6", POD4, &c), AGENT);
	hang_up(&c);
	assert_int_equal(proxied_by(w, LINKERD_UID, NULL, POD4, &c), AGENT);
	hang_up(&c);
}

static void wire_takes_the_leg_as_sent(void **state)
{
	struct mesh *m = *state;
	struct world *w = &m->w;
	struct conn c;
	struct pg_rule rule = { .port = PORT, .wire = true, .holder = "ann@laptop" };
	assert_true(passes_proxy(m, POD4));
	add_rule(w, &rule);
	assert_int_equal(connect_from(w, w->ns.outside, POD4, 0, &c), AGENT);
	check_ends(w, &c, POD4 ":8080");
	hang_up(&c);
	assert_int_equal(connect_from(w, w->ns.outside, POD6, 0, &c), AGENT);
	check_ends(w, &c, "[" POD6 "]:8080");
	hang_up(&c);
	assert_int_equal(proxied(w, "127.0.0.6", POD4, &c), APP);
	hang_up(&c);
	drop(w, PORT);
	assert_true(passes_proxy(m, POD4));
}

/* A port that the mesh leaves alone has but one leg. */
static void unproxied_port_is_taken(void **state)
{
	struct mesh *m = *state;
	struct world *w = &m->w;
	struct pg_rule rule = { .port = UNPROXIED, .holder = "ann@laptop" };
	int fd = -1;
	add_rule(w, &rule);
	enter(w->ns.outside);
	int client = dial(POD4, UNPROXIED);
	enter(w->ns.pod);
	assert_true(client >= 0);
	assert_int_equal(accept_any(w->listeners, LISTENERS, &fd), AGENT);
	close(client);
	close(fd);
}

/* The pod calling itself by its service: what the proxy sends from the pod's address is for the
 * proxy, not for the app. */
static void proxy_talking_to_itself_is_left_alone(void **state)
{
	struct mesh *m = *state;
	struct world *w = &m->w;
	struct pg_rule rule = { .port = PORT, .holder = "ann@laptop" };
	int fd = -1;
	add_rule(w, &rule);
	setfsuid(ISTIO_UID);
	int client = dial(POD4, PORT);
	setfsuid(0);
	assert_true(client >= 0);
	assert_int_equal(accept_any(m->proxy, 2, &fd), 0);
	close(client);
	close(fd);
}

static void existing_connections_of_a_mesh_live_on(void **state)
{
	struct mesh *m = *state;
	struct world *w = &m->w;
	struct conn old;
	struct pg_rule rule = { .port = PORT, .holder = "ann@laptop" };
	close_rules(w);
	assert_int_equal(proxied(w, "127.0.0.6", POD4, &old), APP);
	open_rules(w);
	add_rule(w, &rule);
	assert_int_equal(alive(old.client, old.server), 0);
	drop(w, PORT);
	close_rules(w);
	assert_int_equal(alive(old.client, old.server), 0);
	hang_up(&old);
}

#define BOTH(test)                                                               \
	{ "iptables-nft: " #test, test, make_mesh, end_mesh, &meshes[0] },       \
	{                                                                        \
		"iptables-legacy: " #test, test, make_mesh, end_mesh, &meshes[1] \
	}

int main(void)
{
	static struct mesh meshes[] = { { .flavour = "nft" }, { .flavour = "legacy" } };
	const struct CMUnitTest tests[] = {
		BOTH(nat_is_chosen),
		BOTH(plaintext_leg_is_taken),
		BOTH(no_local_takes_the_plaintext_leg_alone),
		BOTH(wire_takes_the_leg_as_sent),
		BOTH(unproxied_port_is_taken),
		BOTH(proxy_talking_to_itself_is_left_alone),
		BOTH(existing_connections_of_a_mesh_live_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
