/* What the pod sends to others, from the laptop's wish to its end: who gets it, and what the laptop
 * learns of where it was going. */
#include "agent/test_laptop.h"

/* A server outside the pod: IPv4, IPv6. */
static int far[2];

static int set_up_out(void **state)
{
	int rc = set_up(state);
	struct world *w = *state;
	if (rc < 0)
		return rc;
	enter(w->ns.outside);
	far[0] = listen_at("0.0.0.0", PORT);
	far[1] = listen_at("::", PORT);
	enter(w->ns.pod);
	return far[0] >= 0 && far[1] >= 0 ? 0 : -1;
}

static int tear_down_out(void **state)
{
	close(far[0]);
	close(far[1]);
	return tear_down(state);
}

/* Starts an outgoing redirect of PORT to the network, or to anybody: as start(). */
static int start_out(struct laptop *l, uint32_t id, const char *network)
{
	Podgraft__V1__RedirectStart body = PODGRAFT__V1__REDIRECT_START__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	Podgraft__V1__Network to = PODGRAFT__V1__NETWORK__INIT, *list[] = { &to };
	struct pg_network parsed;
	body.redirect = id;
	body.port = PORT;
	body.owner = (char *)(uintptr_t) "ann@laptop";
	body.outgoing = true;
	if (network) {
		assert_int_equal(pg_network_parse(network, &parsed), 0);
		to.address.data = parsed.address;
		to.address.len = pg_network_bytes(&parsed);
		to.prefix = parsed.prefix;
		body.to = list;
		body.n_to = 1;
	}
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_START;
	msg.redirect_start = &body;
	int rc = ask(l, &msg);
	return rc < 0 ? rc : -l->code;
}

enum { ELSEWHERE = LAPTOP + 1 };

/* Who gets what the pod sends to `host`: LAPTOP, APP, ELSEWHERE or NOBODY. */
static int who_gets(struct world *w, const char *host)
{
	const int listeners[] = { w->local, w->app[0], w->app[1], far[0], far[1] };
	static const int whose[] = { LAPTOP, APP, APP, ELSEWHERE, ELSEWHERE };
	int client = dial_from(w, w->ns.pod, host, PORT), who = NOBODY;
	char byte;
	assert_true(client >= 0);
	for (int i = 0; i < 200 && who == NOBODY; i++) {
		for (size_t k = 0; k < PG_LEN(listeners) && who == NOBODY; k++) {
			int fd = listeners[k] < 0 ? -1
						  : accept4(listeners[k], NULL, NULL, SOCK_CLOEXEC);
			if (fd < 0)
				continue;
			who = whose[k];
			close(fd);
		}
		turn(w, 5);
	}
	assert_int_equal(await(w, client, &byte, 1), 0);
	close(client);
	turn(w, 20);
	return who;
}

static void expect_opened(struct world *w, uint32_t id, const char *to)
{
	char text[PG_ADDR_TEXT];
	assert_int_equal(w->opened, id);
	assert_string_equal(sock_text(&w->opened_to, text), to);
}

static void the_laptop_gets_it_and_learns_where_it_was_going(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	assert_int_equal(who_gets(w, OUTSIDE4), ELSEWHERE);
	assert_int_equal(start_out(l, 1, NULL), 0);
	assert_string_equal(l->text, "nat");
	assert_int_equal(who_gets(w, OUTSIDE4), LAPTOP);
	expect_opened(w, 1, OUTSIDE4 ":8080");
	assert_int_equal(who_gets(w, OUTSIDE6), LAPTOP);
	expect_opened(w, 1, "[" OUTSIDE6 "]:8080");
	assert_int_equal(who_gets(w, POD4), APP);
	assert_int_equal(stop(l, 1), 0);
	assert_int_equal(who_gets(w, OUTSIDE4), ELSEWHERE);
	assert_int_equal(pg_connections_open(w->connections), 0);
}

static void one_port_is_two_redirects(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	assert_int_equal(start_out(l, 1, OUTSIDE4), 0);
	assert_int_equal(start(l, 2, PORT, "ann@laptop"), 0);
	assert_string_equal(l->text, "tproxy");
	assert_int_equal(who_gets(w, OUTSIDE4), LAPTOP);
	expect_opened(w, 1, OUTSIDE4 ":8080");
	assert_int_equal(who_gets(w, OUTSIDE6), ELSEWHERE);
	assert_int_equal(who_gets(w, POD4), LAPTOP);
	expect_opened(w, 2, POD4 ":8080");
	assert_int_equal(stop(l, 2), 0);
	assert_int_equal(who_gets(w, POD4), APP);
	assert_int_equal(who_gets(w, OUTSIDE4), LAPTOP);
}

/* The first one by the agent, the others by themselves, until the laptop asks again. */
static void what_the_laptop_does_not_take_goes_where_it_was_going(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	close(w->local);
	w->local = -1;
	assert_int_equal(start_out(l, 1, NULL), 0);
	assert_int_equal(start(l, 2, PORT, "ann@laptop"), 0);
	assert_int_equal(who_gets(w, OUTSIDE6), ELSEWHERE);
	assert_int_equal(l->state, PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_PARKED);
	assert_int_equal(l->told, 1);
	assert_int_equal(pg_connections_served(w->connections, PG_BY_APP), 1);
	assert_int_equal(who_gets(w, OUTSIDE4), ELSEWHERE);
	assert_int_equal(pg_connections_served(w->connections, PG_BY_APP), 1);
	assert_int_equal(who_gets(w, POD4), APP); /* which is another redirect */
	assert_int_equal(pg_connections_served(w->connections, PG_BY_APP), 2);
	w->local = listen_at("127.0.0.1", ntohs(((struct sockaddr_in *)&w->local_at)->sin_port));
	assert_int_equal(start_out(l, 1, NULL), 0);
	assert_int_equal(who_gets(w, OUTSIDE4), LAPTOP);
}

static void another_laptop_learns_whose_it_is(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[1];
	assert_int_equal(start_out(&w->laptops[0], 1, NULL), 0);
	assert_int_equal(begin_session(w, l), 0);
	assert_int_equal(add_lane(l, 0, NULL), 0);
	assert_int_equal(start_out(l, 1, NULL), -EEXIST);
	assert_string_equal(l->holder, "ann@laptop");
	assert_int_equal(start(l, 2, PORT, "bob@desk"), 0);
	say_goodbye(&w->laptops[0]);
	turn(w, 50);
	assert_int_equal(who_gets(w, OUTSIDE4), ELSEWHERE);
	assert_int_equal(start_out(l, 1, NULL), 0);
	assert_int_equal(who_gets(w, OUTSIDE4), LAPTOP);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up_out, tear_down_out)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_laptop_gets_it_and_learns_where_it_was_going),
		TEST(one_port_is_two_redirects),
		TEST(what_the_laptop_does_not_take_goes_where_it_was_going),
		TEST(another_laptop_learns_whose_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
