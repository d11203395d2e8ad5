#include "proto/io/bridge.h"

#include "proto/io/test_pair.h"

/* A client and a server with a bridge between them. */
struct world {
	struct pg_loop *loop;
	int client, server, near_server; /* the last is the bridge's */
	struct pg_bridge *bridge;
	int joins, ends;
};

static void on_joined(void *ctx)
{
	((struct world *)ctx)->joins++;
}

static void on_ended(void *ctx)
{
	((struct world *)ctx)->ends++;
}

static const struct pg_bridge_events events = { on_joined, on_ended };

static int set_up(void **state)
{
	static struct world w;
	struct pg_err err;
	w = (struct world){ .loop = pg_loop_new(&err) };
	int near_client;
	struct pg_byteq first;
	pg_byteq_init(&first, 1024);
	assert_int_equal(pg_byteq_put(&first, (const uint8_t *)"kept", 4), 0);
	tcp_pair(&w.client, &near_client);
	tcp_pair(&w.near_server, &w.server);
	assert_int_equal(pg_bridge_new(w.loop, near_client, w.near_server, &first, false, &events,
				       &w, &w.bridge),
			 0);
	assert_int_equal(first.len, 0);
	char bytes[16];
	assert_int_equal(await(w.loop, w.server, bytes, sizeof(bytes)), 4);
	assert_memory_equal(bytes, "kept", 4);
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	if (w->ends == 0)
		pg_bridge_free(w->bridge);
	close(w->client);
	close(w->server);
	pg_loop_free(w->loop);
	return 0;
}

static void bytes_pass_both_ways(void **state)
{
	struct world *w = *state;
	char bytes[16];
	assert_int_equal(send(w->client, "ping", 4, 0), 4);
	assert_int_equal(await(w->loop, w->server, bytes, sizeof(bytes)), 4);
	assert_int_equal(send(w->server, "pong!", 5, 0), 5);
	assert_int_equal(await(w->loop, w->client, bytes, sizeof(bytes)), 5);
	assert_int_equal(w->ends, 0);
}

static void half_close_passes_and_the_other_half_goes_on(void **state)
{
	struct world *w = *state;
	char bytes[16];
	shutdown(w->client, SHUT_WR);
	assert_int_equal(await(w->loop, w->server, bytes, sizeof(bytes)), 0);
	assert_int_equal(send(w->server, "answer", 6, 0), 6);
	assert_int_equal(await(w->loop, w->client, bytes, sizeof(bytes)), 6);
	assert_int_equal(w->ends, 0);
	shutdown(w->server, SHUT_WR);
	assert_int_equal(await(w->loop, w->client, bytes, sizeof(bytes)), 0);
	assert_int_equal(w->ends, 1);
}

static void a_reset_passes_as_a_reset(void **state)
{
	struct world *w = *state;
	char bytes[16];
	pg_sock_close_reset(w->server);
	w->server = dup(w->client);
	assert_int_equal(await(w->loop, w->client, bytes, sizeof(bytes)), -ECONNRESET);
	assert_int_equal(w->ends, 1);
}

static void a_slow_reader_holds_the_writer_and_loses_nothing(void **state)
{
	struct world *w = *state;
	static uint8_t chunk[64 << 10];
	size_t sent = 0, got = 0;
	for (int i = 0; i < 400; i++) {
		ssize_t n = send(w->client, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (n > 0)
			sent += (size_t)n;
		turn(w->loop, 1);
	}
	assert_true(sent < 400 * sizeof(chunk)); /* somebody said stop */
	shutdown(w->client, SHUT_WR);
	for (ssize_t n = 1; n > 0; got += n > 0 ? (size_t)n : 0)
		n = await(w->loop, w->server, chunk, sizeof(chunk));
	assert_int_equal(got, sent);
}

/* More than the bridge holds, so that it does not read from the client when the byte comes. */
static void an_urgent_byte_is_one_of_the_stream(void **state)
{
	struct world *w = *state;
	static uint8_t chunk[PG_BRIDGE_BYTES * 3 / 2];
	const int small = 4096;
	size_t got = 0;
	setsockopt(w->near_server, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	assert_int_equal(send(w->client, chunk, sizeof(chunk), 0), sizeof(chunk));
	turn(w->loop, 20);
	assert_int_equal(send(w->client, "!", 1, MSG_OOB), 1);
	turn(w->loop, 20);
	assert_int_equal(w->ends, 0);
	shutdown(w->client, SHUT_WR);
	for (ssize_t n = 1; n > 0; got += n > 0 ? (size_t)n : 0)
		n = await(w->loop, w->server, chunk, sizeof(chunk));
	assert_int_equal(got, sizeof(chunk) + 1);
}

static void a_server_that_refuses_resets_the_client(void **state)
{
	struct world *w = *state;
	struct sockaddr_storage at;
	struct pg_bridge *bridge;
	struct pg_byteq first;
	int client, near, ends_before = w->ends;
	char byte;
	pg_byteq_init(&first, 1024);
	close(tcp_listen(&at)); /* nobody listens there any more */
	tcp_pair(&client, &near);
	int server = pg_sock_connect((struct sockaddr *)&at, 0);
	assert_true(server >= 0);
	assert_int_equal(pg_bridge_new(w->loop, near, server, &first, false, &events, w, &bridge),
			 0);
	assert_int_equal(await(w->loop, client, &byte, 1), -ECONNRESET);
	assert_int_equal(w->ends, ends_before + 1);
	assert_int_equal(w->joins, 1); /* the one of the set-up */
	w->ends = ends_before;
	close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_pass_both_ways, set_up, tear_down),
		cmocka_unit_test_setup_teardown(half_close_passes_and_the_other_half_goes_on,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_reset_passes_as_a_reset, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_slow_reader_holds_the_writer_and_loses_nothing,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_urgent_byte_is_one_of_the_stream, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_server_that_refuses_resets_the_client, set_up,
						tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
