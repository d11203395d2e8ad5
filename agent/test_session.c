/* A laptop's session from end to end, in a pod of its own with real rules: what its redirects take,
 * what becomes of it when the laptop does not serve it, and what is left when it ends. */
#include "agent/test_laptop.h"

static void a_redirect_takes_and_gives_back(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	assert_int_equal(who_answers(w, POD4), APP);
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	assert_string_equal(l->text, "tproxy");
	assert_int_equal(who_answers(w, POD4), LAPTOP);
	assert_int_equal(who_answers(w, POD6), LAPTOP);
	assert_int_equal(stop(l, 1), 0);
	assert_int_equal(who_answers(w, POD4), APP);
	assert_int_equal(stop(l, 1), -ENOENT);
	assert_int_equal(pg_connections_open(w->connections), 0);
	assert_int_equal(w->relays, 0);
}

static void a_closed_local_port_is_served_by_the_app(void **state)
{
	struct world *w = *state;
	char bytes[16];
	int server;
	close(w->local);
	w->local = -1;
	assert_int_equal(start(&w->laptops[0], 1, PORT, "ann@laptop"), 0);
	int client = dial_from(w, w->ns.outside, POD4, PORT);
	assert_int_equal(send(client, "question", 8, 0), 8);
	shutdown(client, SHUT_WR);
	assert_int_equal(arrived_at(w, &server), APP);
	size_t n = 0;
	for (ssize_t more = 1; more > 0 && n<8; n += more> 0 ? (size_t)more : 0)
		more = await(w, server, bytes + n, sizeof(bytes) - n);
	assert_int_equal(n, 8);
	assert_memory_equal(bytes, "question", 8);
	assert_int_equal(await(w, server, bytes, 1), 0);
	assert_int_equal(send(server, "answer", 6, 0), 6);
	close(server);
	assert_int_equal(await(w, client, bytes, sizeof(bytes)), 6);
	assert_int_equal(await(w, client, bytes, sizeof(bytes)), 0);
	close(client);
	turn(w, 20);
	assert_int_equal(pg_connections_open(w->connections), 0);
	assert_int_equal(pg_connections_served(w->connections, PG_BY_APP), 1);
}

static void the_laptop_hears_who_served_how_many(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(who_answers(w, POD4), LAPTOP);
	assert_int_equal(l->counts[PG_BY_LAPTOP], 0); /* not for each connection */
	turn(w, 1100);
	assert_int_equal(l->counts[PG_BY_LAPTOP], 3);
	assert_int_equal(l->counts[PG_BY_APP], 0);
	close(w->local);
	w->local = -1;
	assert_int_equal(who_answers(w, POD4), APP); /* refused by the laptop, which parks it */
	assert_int_equal(who_answers(w, POD4), APP);
	assert_int_equal(stop(l, 1), 0);
	assert_int_equal(l->counts[PG_BY_LAPTOP], 3);
	assert_int_equal(l->counts[PG_BY_APP], 1);
}

static void what_not_even_the_app_takes_counts_for_nobody(void **state)
{
	struct world *w = *state;
	char byte;
	assert_int_equal(start(&w->laptops[0], 1, OTHER_PORT, "ann@laptop"), 0);
	close(w->local);
	w->local = -1;
	int client = dial_from(w, w->ns.outside, POD4, OTHER_PORT);
	assert_int_equal(await(w, client, &byte, 1), -ECONNRESET);
	close(client);
	assert_int_equal(pg_connections_open(w->connections), 0);
	for (int how = 0; how < PG_SERVED_COUNT; how++)
		assert_int_equal(pg_connections_served(w->connections, (enum pg_served)how), 0);
}

static void what_exceeds_the_streams_is_served_by_the_app(void **state)
{
	struct world *w = *state;
	int clients[MAX_STREAMS], servers[MAX_STREAMS];
	assert_int_equal(start(&w->laptops[0], 1, PORT, "ann@laptop"), 0);
	for (int i = 0; i < MAX_STREAMS; i++) {
		clients[i] = dial_from(w, w->ns.outside, POD4, PORT);
		assert_int_equal(arrived_at(w, &servers[i]), LAPTOP);
	}
	assert_int_equal(who_answers(w, POD4), APP);
	for (int i = 0; i < MAX_STREAMS; i++) {
		close(clients[i]);
		close(servers[i]);
	}
	turn(w, 20);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
}

static void a_silent_laptop_is_replaced_by_the_app(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	int raw;
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(add_lane(l, 1, &raw), 0);
	pg_link_free(l->lanes[0]); /* only the silent lane is left */
	l->lanes[0] = NULL;
	turn(w, 20);
	assert_non_null(l->session);
	uint64_t before = pg_now_us();
	int server, client = dial_from(w, w->ns.outside, POD4, PORT);
	assert_int_equal(send(client, "x", 1, 0), 1);
	enum who who = arrived_at(w, &server);
	if (who == NOBODY)
		who = arrived_at(w, &server);
	assert_int_equal(who, APP);
	assert_true(pg_now_us() - before < 3000000);
	close(client);
	close(server);
	close(raw);
	turn(w, 50);
	assert_null(l->session);
	assert_int_equal(pg_redirects_count(w->redirects), 0);
}

/* Whether the redirect is the same one, or another with its port. */
static void a_late_timeout_parks_only_what_it_is_of(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	const struct sockaddr_storage healthy = w->local_at;
	int hung[2];
	hang_program(w, hung);
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	int first = dial_from(w, w->ns.outside, POD4, PORT);
	turn(w, 600);
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0); /* it answers again, as it believes */
	int second = dial_from(w, w->ns.outside, POD4, PORT);
	turn(w, 600);
	assert_int_equal(l->told, 0); /* of the first one, which has timed out */
	assert_int_equal(stop(l, 1), 0);
	assert_int_equal(start(l, 2, PORT, "ann@laptop"), 0);
	w->local_at = healthy;
	turn(w, 600);
	assert_int_equal(l->told, 0); /* nor of the second one */
	empty_app(w);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
	const int fds[] = { hung[0], hung[1], first, second };
	for (size_t i = 0; i < PG_LEN(fds); i++)
		close(fds[i]);
	turn(w, 20);
}

static void the_last_lane_takes_the_session_with_it(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	char byte;
	int server;
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(add_lane(l, 1, NULL), 0);
	int client = dial_from(w, w->ns.outside, POD4, PORT);
	assert_int_equal(arrived_at(w, &server), LAPTOP);
	pg_link_free(pg_take_ptr(&l->lanes[0]));
	turn(w, 20);
	assert_non_null(l->session);
	assert_int_equal(pg_redirects_count(w->redirects), 1);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
	pg_link_free(pg_take_ptr(&l->lanes[1]));
	assert_int_equal(await(w, client, &byte, 1), -ECONNRESET);
	turn(w, 20);
	assert_null(l->session);
	assert_int_equal(pg_redirects_count(w->redirects), 0);
	assert_int_equal(who_answers(w, POD4), APP);
	close(client);
	close(server);
}

static size_t streams_of(const struct laptop *l, int lane)
{
	return pg_mux_streams(pg_link_mux(l->lanes[lane]));
}

static void the_loss_of_one_lane_leaves_the_streams_of_the_others(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	int clients[4], servers[4], reset = 0;
	char byte;
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(add_lane(l, 1, NULL), 0);
	for (int i = 0; i < 4; i++) {
		clients[i] = dial_from(w, w->ns.outside, POD4, PORT);
		assert_int_equal(arrived_at(w, &servers[i]), LAPTOP);
	}
	assert_int_equal(streams_of(l, 0), 2); /* where the fewest are */
	assert_int_equal(streams_of(l, 1), 2);
	pg_link_free(pg_take_ptr(&l->lanes[0]));
	turn(w, 20);
	for (int i = 0; i < 4; i++) {
		if (send(clients[i], "x", 1, MSG_NOSIGNAL) < 0 ||
		    await(w, servers[i], &byte, 1) != 1)
			reset++;
		close(clients[i]);
		close(servers[i]);
	}
	assert_int_equal(reset, 2);
	assert_non_null(l->session);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
}

static void a_resting_lane_takes_no_new_streams(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	Podgraft__V1__LaneRest rest = PODGRAFT__V1__LANE_REST__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	int clients[3], servers[3];
	char byte;
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	clients[0] = dial_from(w, w->ns.outside, POD4, PORT);
	assert_int_equal(arrived_at(w, &servers[0]), LAPTOP);
	assert_int_equal(add_lane(l, 1, NULL), 0);
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_LANE_REST;
	msg.lane_rest = &rest;
	assert_int_equal(ask(l, &msg), 0); /* by lane 0, and answered there */
	for (int i = 1; i < 3; i++) {
		clients[i] = dial_from(w, w->ns.outside, POD4, PORT);
		assert_int_equal(arrived_at(w, &servers[i]), LAPTOP);
	}
	assert_int_equal(streams_of(l, 0), 1);
	assert_int_equal(streams_of(l, 1), 2);
	assert_int_equal(send(clients[0], "x", 1, 0), 1);
	assert_int_equal(await(w, servers[0], &byte, 1), 1); /* what it has goes on */
	for (int i = 0; i < 3; i++) {
		close(clients[i]);
		close(servers[i]);
	}
}

/* News by another lane could overtake an answer, or be lost with a lane that rests. */
static void news_take_the_way_of_the_answers(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	int raw;
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(add_lane(l, 1, &raw), 0);
	pg_redirects_park(w->redirects, FIRST_ARMING);
	turn(w, 20);
	assert_int_equal(l->told, 1);
	assert_int_equal(l->state, PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_PARKED);
	close(raw);
}

static void news_that_a_lane_takes_with_it_are_told_again(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(add_lane(l, 1, NULL), 0);
	pg_redirects_park(w->redirects, FIRST_ARMING);
	pg_link_free(pg_take_ptr(&l->lanes[0]));
	turn(w, 20);
	assert_int_equal(l->told, 1);
	assert_int_equal(l->state, PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_PARKED);
}

static void counts_that_a_lane_takes_with_it_are_told_again(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
	for (int i = 0; i < 150 && l->counts[PG_BY_LAPTOP] == 0; i++)
		turn(w, 20);
	l->counts[PG_BY_LAPTOP] = 0; /* as if they had not arrived */
	assert_int_equal(add_lane(l, 1, NULL), 0);
	pg_link_free(pg_take_ptr(&l->lanes[0]));
	for (int i = 0; i < 60 && l->counts[PG_BY_LAPTOP] == 0; i++)
		turn(w, 5);
	assert_int_equal(l->counts[PG_BY_LAPTOP], 1);
}

static void goodbye_ends_the_session_and_its_connections(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	char byte;
	int server;
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	int client = dial_from(w, w->ns.outside, POD4, PORT);
	assert_int_equal(arrived_at(w, &server), LAPTOP);
	turn(w, 20);
	say_goodbye(l);
	turn(w, 50);
	assert_null(l->session);
	assert_null(l->lanes[0]);
	assert_int_equal(await(w, client, &byte, 1), -ECONNRESET);
	assert_int_equal(await(w, server, &byte, 1), -ECONNRESET);
	assert_int_equal(who_answers(w, POD4), APP);
	close(client);
	close(server);
}

/* An agent without redirects lets go of the rules; who comes in that moment gets new ones. */
static void rest_and_start_in_one_turn(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(stop(l, 1), 0);
	pg_redirects_rest(w->redirects);
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
}

static void two_laptops_have_a_port_each(void **state)
{
	struct world *w = *state;
	struct laptop *ann = &w->laptops[0], *also_ann = &w->laptops[1];
	assert_int_equal(begin_session(w, also_ann), 0);
	assert_int_equal(add_lane(also_ann, 0, NULL), 0);
	assert_int_equal(start(ann, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(start(also_ann, 1, OTHER_PORT, "ann@desk"), 0);
	assert_int_equal(start(also_ann, 2, PORT, "ann@desk"), -EEXIST);
	assert_string_equal(also_ann->holder, "ann@laptop");
	assert_int_equal(stop(also_ann, 2), -ENOENT);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
	pg_link_free(pg_take_ptr(&ann->lanes[0]));
	turn(w, 20);
	assert_null(ann->session);
	assert_int_equal(pg_redirects_count(w->redirects), 1);
	assert_int_equal(start(also_ann, 2, PORT, "ann@desk"), 0);
}

/* The laptop's machine is asleep or cut off, and its user tries again elsewhere. */
static void a_silent_laptop_gives_way_to_another(void **state)
{
	struct world *w = *state;
	struct laptop *asleep = &w->laptops[0], *awake = &w->laptops[1];
	int raw;
	assert_int_equal(start(asleep, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(start(asleep, 2, OTHER_PORT, "ann@laptop"), 0);
	assert_int_equal(add_lane(asleep, 1, &raw), 0);
	pg_link_free(pg_take_ptr(&asleep->lanes[0]));
	assert_int_equal(begin_session(w, awake), 0);
	assert_int_equal(add_lane(awake, 0, NULL), 0);
	assert_int_equal(start(awake, 1, PORT, "ann@desk"), -EEXIST);
	assert_false(pg_session_is_silent(asleep->session));
	turn(w, 4600);
	assert_non_null(asleep->session);
	assert_true(pg_session_is_silent(asleep->session));
	assert_false(pg_session_is_silent(awake->session));
	assert_int_equal(start(awake, 1, PORT, "ann@desk"), 0);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
	assert_null(asleep->session);
	assert_int_equal(pg_redirects_count(w->redirects), 1);
	close(raw);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_redirect_takes_and_gives_back),
		TEST(a_closed_local_port_is_served_by_the_app),
		TEST(the_laptop_hears_who_served_how_many),
		TEST(what_not_even_the_app_takes_counts_for_nobody),
		TEST(what_exceeds_the_streams_is_served_by_the_app),
		TEST(a_silent_laptop_is_replaced_by_the_app),
		TEST(a_late_timeout_parks_only_what_it_is_of),
		TEST(the_last_lane_takes_the_session_with_it),
		TEST(the_loss_of_one_lane_leaves_the_streams_of_the_others),
		TEST(a_resting_lane_takes_no_new_streams),
		TEST(news_take_the_way_of_the_answers),
		TEST(news_that_a_lane_takes_with_it_are_told_again),
		TEST(counts_that_a_lane_takes_with_it_are_told_again),
		TEST(goodbye_ends_the_session_and_its_connections),
		TEST(rest_and_start_in_one_turn),
		TEST(two_laptops_have_a_port_each),
		TEST(a_silent_laptop_gives_way_to_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
