/* The kubelet's probes reach the app, everything else from the node the laptop: whole, in order,
 * and within a second whatever it says. */
#include "agent/looks.h"
#include "agent/test_laptop.h"

#define PROBE    "GET /ready HTTP/1.1\r\nHost: pod\r\nUser-Agent: kube-probe/1.35\r\n\r\n"
#define CURL     "GET /ready HTTP/1.1\r\nHost: pod\r\nUser-Agent: curl/7.88.1\r\n\r\n"
#define PREFACE  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"
#define GREETING "\0\0\0\x04\0\0\0\0\0"
#define ACK      "\0\0\0\x04\x01\0\0\0\0"
#define HEALTH   "\0\0\x20\x01\x05\0\0\0\x01\x83\x86\x04\x1c/grpc.health.v1.Health/Check"
#define OTHER    "\0\0\x08\x01\x05\0\0\0\x01\x83\x86\x04\x04/abc"
#define BYTES(s) s, sizeof(s) - 1

/* Starts the redirect of PORT with our clients' address as the node's. */
static void start_with_node(struct world *w, const char *node, bool grpc)
{
	struct laptop *l = &w->laptops[0];
	Podgraft__V1__RedirectStart body = PODGRAFT__V1__REDIRECT_START__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	uint8_t bytes[4];
	ProtobufCBinaryData nodes[] = { { sizeof(bytes), bytes } };
	assert_int_equal(inet_pton(AF_INET, node, bytes), 1);
	body.redirect = 1;
	body.port = PORT;
	body.nodes = nodes;
	body.n_nodes = 1;
	body.grpc_probes = grpc;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_START;
	msg.redirect_start = &body;
	assert_int_equal(ask(l, &msg), 0);
	assert_int_equal(l->code, 0);
}

static int dial_node(struct world *w)
{
	int client = dial_from(w, w->ns.outside, POD4, PORT);
	assert_true(client >= 0);
	return client;
}

static void say(int client, const char *bytes, size_t n)
{
	assert_int_equal(send(client, bytes, n, MSG_NOSIGNAL), n);
}

static void expect_bytes(struct world *w, int fd, const char *bytes, size_t n)
{
	char got[1024];
	assert_true(n <= sizeof(got));
	for (size_t have = 0; have < n;) {
		ssize_t more = await(w, fd, got + have, n - have);
		assert_true(more > 0);
		have += (size_t)more;
	}
	assert_memory_equal(got, bytes, n);
}

/* The connection of `client` arrives at `who`, who reads just these bytes; then both say goodbye.
 */
static void expect(struct world *w, int client, enum who who, const char *bytes, size_t n)
{
	char byte;
	int server;
	assert_int_equal(arrived_at(w, &server), who);
	expect_bytes(w, server, bytes, n);
	assert_int_equal(send(server, "answer", 6, MSG_NOSIGNAL), 6);
	expect_bytes(w, client, "answer", 6);
	shutdown(client, SHUT_WR);
	assert_int_equal(await(w, server, &byte, 1), 0);
	close(server);
	assert_int_equal(await(w, client, &byte, 1), 0);
	close(client);
}

static void http_probes_reach_the_app_and_nothing_else_does(void **state)
{
	struct world *w = *state;
	start_with_node(w, OUTSIDE4, false);
	int client = dial_node(w);
	say(client, BYTES(PROBE));
	expect(w, client, APP, BYTES(PROBE));
	client = dial_node(w);
	say(client, BYTES(CURL));
	expect(w, client, LAPTOP, BYTES(CURL));
	turn(w, 1100);
	assert_int_equal(w->laptops[0].counts[PG_AS_PROBE], 1);
	assert_int_equal(w->laptops[0].counts[PG_BY_LAPTOP], 1);
	assert_int_equal(w->laptops[0].counts[PG_BY_APP], 0);
}

static void a_probe_may_come_in_pieces(void **state)
{
	struct world *w = *state;
	start_with_node(w, OUTSIDE4, false);
	int client = dial_node(w);
	for (size_t i = 0; i + 1 < sizeof(PROBE); i++) {
		say(client, &PROBE[i], 1);
		turn(w, 1);
	}
	expect(w, client, APP, BYTES(PROBE));
}

static void who_waits_for_the_server_is_redirected_within_a_second(void **state)
{
	struct world *w = *state;
	start_with_node(w, OUTSIDE4, false);
	uint64_t before = pg_now_us();
	int client = dial_node(w);
	turn(w, PG_LOOK_MS * 9 / 10);
	expect(w, client, LAPTOP, "", 0);
	assert_true(pg_now_us() - before < 3000000);
}

static void the_gateway_counts_as_the_node(void **state)
{
	struct world *w = *state;
	start_with_node(w, "192.0.2.1", false);
	int client = dial_node(w);
	say(client, BYTES(PROBE));
	expect(w, client, APP, BYTES(PROBE));
}

static void who_is_not_the_node_is_not_looked_at(void **state)
{
	struct world *w = *state;
	start_with_node(w, OUTSIDE4, false);
	uint64_t before = pg_now_us();
	int client = dial_from(w, w->ns.pod, POD4, PORT);
	expect(w, client, LAPTOP, "", 0);
	assert_true(pg_now_us() - before < 900000);
}

static void the_kubelet_s_grpc_is_greeted_and_reaches_the_app(void **state)
{
	struct world *w = *state;
	start_with_node(w, OUTSIDE4, true);
	int client = dial_node(w);
	say(client, BYTES(PREFACE));
	expect_bytes(w, client, BYTES(GREETING));
	say(client, BYTES(ACK));
	turn(w, 20);
	say(client, BYTES(HEALTH));
	expect(w, client, APP, BYTES(PREFACE HEALTH));
}

static void other_grpc_is_greeted_and_reaches_the_laptop(void **state)
{
	struct world *w = *state;
	start_with_node(w, OUTSIDE4, true);
	int client = dial_node(w);
	say(client, BYTES(PREFACE));
	expect_bytes(w, client, BYTES(GREETING));
	say(client, BYTES(ACK OTHER));
	expect(w, client, LAPTOP, BYTES(PREFACE OTHER));
}

static void what_the_laptop_refuses_is_the_app_s_from_its_first_byte(void **state)
{
	struct world *w = *state;
	close(w->local);
	w->local = -1;
	start_with_node(w, OUTSIDE4, true);
	int client = dial_node(w);
	say(client, BYTES(CURL));
	expect(w, client, APP, BYTES(CURL));
}

static void a_client_that_goes_meanwhile_leaves_nothing(void **state)
{
	struct world *w = *state;
	struct linger at_once = { 1, 0 };
	start_with_node(w, OUTSIDE4, false);
	int client = dial_node(w);
	say(client, BYTES("GET"));
	turn(w, 20);
	assert_int_equal(pg_redirects_looking(w->redirects), 1);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(client);
	turn(w, 20);
	assert_int_equal(pg_redirects_looking(w->redirects), 0);
	assert_int_equal(pg_connections_open(w->connections), 0);
}

static void a_redirect_that_ends_meanwhile_leaves_its_clients_to_the_app(void **state)
{
	struct world *w = *state;
	start_with_node(w, OUTSIDE4, false);
	int client = dial_node(w);
	say(client, BYTES("GET"));
	turn(w, 20);
	assert_int_equal(stop(&w->laptops[0], 1), 0);
	say(client, BYTES(" /\r\n\r\n"));
	expect(w, client, APP, BYTES("GET /\r\n\r\n"));
}

static void probes_count_for_a_redirect_that_ends_meanwhile(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	start_with_node(w, OUTSIDE4, false);
	int probe = dial_node(w), other = dial_node(w);
	turn(w, 20);
	assert_int_equal(stop(l, 1), 0);
	assert_int_equal(l->undecided, 2);
	say(probe, BYTES(PROBE));
	expect(w, probe, APP, BYTES(PROBE));
	say(other, BYTES(CURL));
	expect(w, other, APP, BYTES(CURL));
	await_last_counts(w);
	assert_int_equal(l->counts[PG_AS_PROBE], 1);
	assert_int_equal(l->counts[PG_BY_APP], 1);
	assert_int_equal(l->counts[PG_BY_LAPTOP], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(http_probes_reach_the_app_and_nothing_else_does),
		TEST(a_probe_may_come_in_pieces),
		TEST(who_waits_for_the_server_is_redirected_within_a_second),
		TEST(the_gateway_counts_as_the_node),
		TEST(who_is_not_the_node_is_not_looked_at),
		TEST(the_kubelet_s_grpc_is_greeted_and_reaches_the_app),
		TEST(other_grpc_is_greeted_and_reaches_the_laptop),
		TEST(what_the_laptop_refuses_is_the_app_s_from_its_first_byte),
		TEST(a_client_that_goes_meanwhile_leaves_nothing),
		TEST(a_redirect_that_ends_meanwhile_leaves_its_clients_to_the_app),
		TEST(probes_count_for_a_redirect_that_ends_meanwhile),
	};
	return cmocka_run_group_tests_name("session_probes", tests, NULL, NULL);
}
