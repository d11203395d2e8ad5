/* An agent that runs short of memory or descriptors: its redirects are parked, nobody is lost, and
 * it goes on by itself. */
#include <sys/resource.h>

#include "agent/test_laptop.h"

enum { CLIENTS = 64 };

static uint64_t small_room = 8 * PG_BY_APP_BYTES, four_lanes = 4 * PG_LANE_BYTES;

static const Podgraft__V1__RedirectState
	ARMED = PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_ARMED,
	PARKED = PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_PARKED;

struct crowd {
	int clients[CLIENTS], servers[CLIENTS];
	int count;
};

/* Clients come, and stay, until the agent says that it is short. */
static void crowd_in(struct world *w, struct crowd *c)
{
	struct laptop *l = &w->laptops[0];
	unsigned before = l->told;
	for (c->count = 0; l->told == before;) {
		assert_true(c->count < CLIENTS);
		c->clients[c->count] = dial_from(w, w->ns.outside, POD4, PORT);
		assert_true(c->clients[c->count] >= 0);
		assert_int_not_equal(arrived_at(w, &c->servers[c->count]), NOBODY);
		c->count++;
		turn(w, 5);
	}
}

static void disperse(struct world *w, struct crowd *c)
{
	while (c->count > 0) {
		close(c->clients[--c->count]);
		close(c->servers[c->count]);
	}
	turn(w, 600);
}

static void assert_it_comes_back(struct world *w, struct crowd *c, int code)
{
	struct laptop *l = &w->laptops[0];
	assert_int_equal(l->state, PARKED);
	assert_int_equal(l->code, code);
	assert_int_equal(who_answers(w, POD4), APP);
	disperse(w, c);
	assert_int_equal(l->state, ARMED);
	assert_int_equal(l->code, 0);
	assert_int_equal(l->told, 2);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
}

static void out_of_memory_the_app_serves_until_there_is_some(void **state)
{
	struct world *w = *state;
	struct crowd crowd;
	assert_int_equal(start(&w->laptops[0], 1, PORT, "ann@laptop"), 0);
	crowd_in(w, &crowd);
	assert_it_comes_back(w, &crowd, ENOMEM);
}

static void out_of_descriptors_the_app_serves_until_there_are_some(void **state)
{
	struct world *w = *state;
	struct crowd crowd;
	struct rlimit was, less;
	assert_int_equal(start(&w->laptops[0], 1, PORT, "ann@laptop"), 0);
	getrlimit(RLIMIT_NOFILE, &was);
	less = (struct rlimit){ 100, was.rlim_max };
	setrlimit(RLIMIT_NOFILE, &less);
	crowd_in(w, &crowd);
	assert_it_comes_back(w, &crowd, EMFILE);
	setrlimit(RLIMIT_NOFILE, &was);
}

static void a_redirect_that_starts_meanwhile_is_parked_at_once(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	struct crowd crowd;
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	crowd_in(w, &crowd);
	assert_int_equal(stop(l, 1), 0);
	assert_int_equal(start(l, 2, PORT, "ann@laptop"), -ENOMEM); /* what comes after "armed" */
	l->told = 1;
	assert_it_comes_back(w, &crowd, ENOMEM);
}

static void what_was_parked_by_the_laptop_stays_so(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	struct crowd crowd;
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	crowd_in(w, &crowd);
	pg_redirects_park(w->redirects, FIRST_ARMING);
	turn(w, 10);
	assert_int_equal(l->state, PARKED);
	assert_int_equal(l->code, 0);
	disperse(w, &crowd);
	assert_int_equal(who_answers(w, POD4), APP);
	assert_int_equal(start(l, 1, PORT, "ann@laptop"), 0);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
}

/* `node`: whose connections may be probes; NULL: nobody's. */
static void start_without_fallback(struct laptop *l, const char *node)
{
	Podgraft__V1__RedirectStart body = PODGRAFT__V1__REDIRECT_START__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	uint8_t bytes[4];
	ProtobufCBinaryData nodes[] = { { sizeof(bytes), bytes } };
	body.redirect = 1;
	body.port = PORT;
	body.no_fallback = true;
	if (node) {
		assert_int_equal(inet_pton(AF_INET, node, bytes), 1);
		body.nodes = nodes;
		body.n_nodes = 1;
	}
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_START;
	msg.redirect_start = &body;
	assert_int_equal(ask(l, &msg), 0);
}

static void assert_the_next_client_is_reset(struct world *w)
{
	char byte;
	int client = dial_from(w, w->ns.outside, POD4, PORT);
	assert_int_equal(await(w, client, &byte, 1), -ECONNRESET);
	close(client);
}

static void without_a_fallback_clients_are_reset(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	start_without_fallback(l, NULL);
	pg_pressure_bytes(w->pressure, small_room);
	assert_int_equal(l->told, 0);
	pg_pressure_bytes(w->pressure, small_room - 1);
	assert_the_next_client_is_reset(w);
	pg_pressure_bytes(w->pressure, 0);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
}

/* Of so few descriptors that none is left for a connection. What the limit was. */
static struct rlimit leave_no_room(void)
{
	struct rlimit was, less;
	int lowest = dup(0);
	close(lowest);
	getrlimit(RLIMIT_NOFILE, &was);
	less = (struct rlimit){ (rlim_t)lowest + 4, was.rlim_max };
	setrlimit(RLIMIT_NOFILE, &less);
	return was;
}

/* Nobody waits for room. */
static void without_a_fallback_and_room_clients_are_reset(void **state)
{
	struct world *w = *state;
	start_without_fallback(&w->laptops[0], NULL);
	struct rlimit was = leave_no_room();
	for (int i = 0; i < 3; i++)
		assert_the_next_client_is_reset(w);
	setrlimit(RLIMIT_NOFILE, &was);
	turn(w, 300);
	assert_int_equal(who_answers(w, POD4), LAPTOP);
}

static bool has_learnt(const struct world *w)
{
	return pg_redirects_short_of(w->redirects) == EMFILE &&
	       pg_redirects_looking(w->redirects) == 0;
}

/* It would take the descriptors that are kept for the control API. */
static void without_room_nobody_is_looked_at(void **state)
{
	struct world *w = *state;
	start_without_fallback(&w->laptops[0], OUTSIDE4);
	struct rlimit was = leave_no_room();
	close(dial_from(w, w->ns.outside, POD4, PORT)); /* by whom the agent learns of it */
	for (int i = 0; i < 60 && !has_learnt(w); i++)
		turn(w, 20);
	assert_true(has_learnt(w));
	int client = dial_from(w, w->ns.outside, POD4, PORT);
	assert_true(client >= 0);
	turn(w, 100);
	assert_int_equal(pg_redirects_looking(w->redirects), 0);
	setrlimit(RLIMIT_NOFILE, &was);
	for (int i = 0; i < 60 && pg_redirects_looking(w->redirects) == 0; i++)
		turn(w, 20);
	assert_int_equal(pg_redirects_looking(w->redirects), 1);
	close(client);
}

/* Its own and those of other laptops, until they end. */
static void lanes_of_every_session_count(void **state)
{
	struct world *w = *state;
	struct laptop *ann = &w->laptops[0], *bob = &w->laptops[1];
	assert_int_equal(add_lane(ann, 1, NULL), 0);
	assert_int_equal(pg_session_lanes(ann->session), 2);
	assert_true(pg_pressure_takes_lane(w->pressure, true));
	assert_int_equal(begin_session(w, bob), 0);
	assert_int_equal(add_lane(bob, 0, NULL), 0);
	assert_false(pg_pressure_takes_lane(w->pressure, true));
	say_goodbye(bob);
	turn(w, 20);
	assert_null(bob->session);
	assert_true(pg_pressure_takes_lane(w->pressure, true));
	pg_link_free(pg_take_ptr(&ann->lanes[1]));
	turn(w, 20);
	assert_true(pg_pressure_takes_lane(w->pressure, false));
}

#define TEST(name, room) cmocka_unit_test_prestate_setup_teardown(name, set_up, tear_down, room)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(out_of_memory_the_app_serves_until_there_is_some, &small_room),
		TEST(out_of_descriptors_the_app_serves_until_there_are_some, NULL),
		TEST(a_redirect_that_starts_meanwhile_is_parked_at_once, &small_room),
		TEST(what_was_parked_by_the_laptop_stays_so, &small_room),
		TEST(without_a_fallback_clients_are_reset, &small_room),
		TEST(without_a_fallback_and_room_clients_are_reset, NULL),
		TEST(without_room_nobody_is_looked_at, NULL),
		TEST(lanes_of_every_session_count, &four_lanes),
	};
	return cmocka_run_group_tests_name("session_short", tests, NULL, NULL);
}
