#pragma once
/* For tests of the rules: a pod with an app on port 8080 and a rule set, clients inside and
 * outside, and who answered them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <netinet/tcp.h>

#include "agent/rules.h"
#include "agent/test_netns.h"

/* Who answers is where their listeners begin; the agent's for outgoing connections have an own
 * pair. */
enum { APP = 0, AGENT = 2, AGENT_OUT = 4, NOBODY = -1, LISTENERS = 6, PORT = 8080 };

struct world {
	enum pg_mechanism mech;
	bool no_owner_flag;
	uint32_t lease_ms;
	struct netns ns;
	struct pg_rules *rules;
	int listeners[LISTENERS]; /* IPv4, IPv6 of each */
};

PG_UNUSED static struct pg_rules *open_as(const struct world *w, const char *tag)
{
	struct pg_err err = { 0 };
	struct pg_rules *rules = NULL;
	struct pg_rules_config config = { .owner_tag = tag,
					  .force = w->mech,
					  .no_owner_flag = w->no_owner_flag,
					  .lease_ms = w->lease_ms };
	if (pg_rules_open(&config, &rules, &err) < 0)
		fail_msg("%s (%s)", err.what, err.hint);
	return rules;
}

PG_UNUSED static void open_rules(struct world *w)
{
	w->rules = open_as(w, "test");
	pg_rules_listeners(w->rules, w->listeners + AGENT);
}

PG_UNUSED static void close_rules(struct world *w)
{
	pg_rules_close(w->rules);
	w->rules = NULL;
	for (int i = AGENT; i < LISTENERS; i++)
		w->listeners[i] = -1;
}

PG_UNUSED static int make_world(void **state)
{
	struct world *w = *state;
	w->rules = NULL;
	if (netns_make(&w->ns) < 0)
		return -1;
	w->listeners[0] = listen_at("0.0.0.0", PORT);
	w->listeners[1] = listen_at("::", PORT);
	open_rules(w);
	return 0;
}

PG_UNUSED static int end_world(void **state)
{
	struct world *w = *state;
	enter(w->ns.pod);
	pg_rules_close(w->rules);
	close(w->listeners[0]);
	close(w->listeners[1]);
	char text[4096];
	ruleset(text, sizeof(text));
	netns_end(&w->ns);
	if (strstr(text, "podgraft"))
		printf("left behind:\n%s\n", text);
	return strstr(text, "podgraft") ? -1 : 0;
}

PG_UNUSED static void add(struct world *w, uint16_t port, bool no_local)
{
	struct pg_err err = { 0 };
	struct pg_claim claim;
	struct pg_rule rule = { .port = port, .no_local = no_local, .holder = "ann@laptop" };
	if (pg_rules_add(w->rules, &rule, &claim, &err) < 0)
		fail_msg("%s", err.what);
}

PG_UNUSED static void drop(struct world *w, uint16_t port)
{
	struct pg_err err = { 0 };
	if (pg_rules_remove(w->rules, PG_INCOMING, port, &err) < 0)
		fail_msg("%s", err.what);
}

struct conn {
	int client, server;
};

PG_UNUSED static void hang_up(struct conn *c)
{
	close(c->client);
	close(c->server);
}

/* Dials from the namespace `from` and tells who answered: APP, AGENT, AGENT_OUT or NOBODY. */
PG_UNUSED static int connect_from(struct world *w, int from, const char *host, uint32_t mark,
				  struct conn *c)
{
	enter(from);
	c->client = dial_as(NULL, mark, host, PORT, 2000);
	enter(w->ns.pod);
	if (c->client < 0)
		return NOBODY;
	int who = accept_any(w->listeners, LISTENERS, &c->server);
	if (who < 0)
		return close(c->client), NOBODY;
	return who / 2 * 2;
}

PG_UNUSED static int answers(struct world *w, int from, const char *host, uint32_t mark)
{
	struct conn c;
	int who = connect_from(w, from, host, mark, &c);
	if (who != NOBODY)
		hang_up(&c);
	return who;
}

static bool has_option(int fd, int level, int option)
{
	int on = 0;
	socklen_t len = sizeof(on);
	return getsockopt(fd, level, option, &on, &len) == 0 && on != 0;
}

/* The redirected connection knows where it was going and who its client is, and is tuned as its
 * listener is. */
PG_UNUSED static void check_ends_of(struct world *w, int who, const struct conn *c,
				    const char *wanted)
{
	struct sockaddr_storage to = { 0 }, peer = { 0 }, client = { 0 };
	socklen_t peer_len = sizeof(peer), client_len = sizeof(client);
	char a[PG_ADDR_TEXT], b[PG_ADDR_TEXT];
	enum pg_direction direction;
	assert_int_equal(pg_rules_original(w->rules, c->server, &to, &direction), 0);
	assert_int_equal(direction, who == AGENT_OUT ? PG_OUTGOING : PG_INCOMING);
	assert_string_equal(sock_text(&to, a), wanted);
	assert_int_equal(getpeername(c->server, (struct sockaddr *)&peer, &peer_len), 0);
	assert_int_equal(getsockname(c->client, (struct sockaddr *)&client, &client_len), 0);
	assert_string_equal(sock_text(&peer, a), sock_text(&client, b));
	assert_true(has_option(c->server, IPPROTO_TCP, TCP_NODELAY));
	assert_true(has_option(c->server, SOL_SOCKET, SO_OOBINLINE));
	assert_true(has_option(c->server, SOL_SOCKET, SO_KEEPALIVE));
}

PG_UNUSED static void check_ends(struct world *w, const struct conn *c, const char *wanted)
{
	check_ends_of(w, AGENT, c, wanted);
}
