#include "proto/io/relay.h"

#include <poll.h>

#include "proto/base/mem.h"
#include "proto/io/lane_sock.h"
#include "proto/io/link.h"
#include "proto/io/test_pair.h"
#include "proto/mux/limits.h"

/* A client before an agent, a server behind a laptop, and a link between the two:
 * client <-> agent's relay <-> link <-> laptop's relay <-> server. All real sockets, one loop. */
struct world {
	struct pg_loop *loop;
	struct pg_link *agent, *laptop;
	struct pg_pool pools[2];
	struct sockaddr_storage to; /* where the laptop connects */
	int listener, client, server;
	int agent_ends, laptop_ends, refusals, link_ends;
	enum pg_reset why;
	struct pg_byteq kept;
	int returned; /* the client's socket, handed back */
	bool returned_eof;
	struct pg_relay *relay;
	bool is_tight;      /* the kernel takes little for the client */
	const char *header; /* what the server is told first, or NULL */
};

static void on_refused(void *ctx, int fd, struct pg_byteq *kept, bool at_eof, enum pg_reset why)
{
	struct world *w = ctx;
	w->refusals++;
	w->returned = fd;
	w->kept = *kept;
	w->returned_eof = at_eof;
	w->why = why;
}

static void on_agent_ended(void *ctx, enum pg_reset why)
{
	struct world *w = ctx;
	w->agent_ends++;
	w->why = why;
}

static void on_laptop_ended(void *ctx, enum pg_reset why)
{
	(void)why;
	((struct world *)ctx)->laptop_ends++;
}

static const struct pg_relay_events agent_events = { .refused = on_refused,
						     .ended = on_agent_ended };
static const struct pg_relay_events laptop_events = { .ended = on_laptop_ended };

static enum pg_reset on_opened(void *ctx, struct pg_stream *s, const Podgraft__V1__Open *open,
			       struct pg_relay **relay_out)
{
	struct world *w = ctx;
	if (open->redirect != 1)
		return PG_RESET_UNKNOWN;
	int fd = pg_sock_connect((struct sockaddr *)&w->to, 0);
	assert_true(fd >= 0);
	assert_int_equal(pg_relay_new(w->loop, fd, true, &laptop_events, w, relay_out), 0);
	if (w->header)
		assert_int_equal(pg_relay_begin_with(*relay_out, (const uint8_t *)w->header,
						     strlen(w->header)),
				 0);
	pg_relay_attach(*relay_out, s);
	return 0;
}

static void on_control(void *ctx, const Podgraft__V1__Control *msg)
{
	(void)ctx;
	(void)msg;
}

static void on_link_ended(void *ctx, const struct pg_err *why)
{
	(void)why;
	((struct world *)ctx)->link_ends++;
}

static struct pg_link *make_link(struct world *w, int fd, bool laptop)
{
	struct pg_link_config config = { .laptop = laptop,
					 .max_streams = 16,
					 .pool = &w->pools[laptop],
					 .events = { on_opened, on_control, on_link_ended },
					 .ctx = w };
	struct pg_lane *lane;
	struct pg_link *link;
	assert_int_equal(pg_lane_sock_new(w->loop, fd, (struct pg_lane_events){ 0 }, NULL, &lane),
			 0);
	assert_int_equal(pg_link_new(w->loop, lane, &config, NULL, 0, &link), 0);
	return link;
}

/* Opens the stream for a new client of redirect `id`. */
static void arrive(struct world *w, uint32_t id)
{
	uint8_t packed[64];
	int near;
	struct pg_stream *s;
	const int small = 4096;
	tcp_pair(&w->client, &near);
	if (w->is_tight)
		setsockopt(near, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	Podgraft__V1__Open open = PODGRAFT__V1__OPEN__INIT;
	uint8_t address[4] = { 10, 0, 0, 1 };
	open.redirect = id;
	open.peer_address = open.local_address = (ProtobufCBinaryData){ 4, address };
	open.peer_port = open.local_port = 80;
	int n = pg_open_pack(&open, packed, sizeof(packed));
	assert_true(n > 0);
	assert_int_equal(pg_relay_new(w->loop, near, false, &agent_events, w, &w->relay), 0);
	assert_int_equal(pg_mux_open(pg_link_mux(w->agent), packed, (size_t)n, w->relay, &s), 0);
	pg_relay_attach(w->relay, s);
}

static int set_up(void **state)
{
	static struct world w;
	struct pg_err err;
	int a, b;
	w = (struct world){ .loop = pg_loop_new(&err),
			    .pools = { { .bytes = PG_POOL_AGENT }, { .bytes = PG_POOL_LAPTOP } },
			    .client = -1,
			    .server = -1,
			    .returned = -1 };
	tcp_pair(&a, &b);
	pg_byteq_init(&w.kept, 1);
	w.agent = make_link(&w, a, false);
	w.laptop = make_link(&w, b, true);
	w.listener = tcp_listen(&w.to);
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	pg_link_free(w->agent);
	pg_link_free(w->laptop);
	for (size_t i = 0; i < 4; i++) {
		int fd = ((int[]){ w->listener, w->client, w->server, w->returned })[i];
		if (fd >= 0)
			close(fd);
	}
	pg_byteq_fini(&w->kept);
	pg_loop_free(w->loop);
	return 0;
}

/* A client whose connection the server has accepted. */
static void join(struct world *w)
{
	arrive(w, 1);
	turn(w->loop, 20);
	w->server = accept(w->listener, NULL, NULL);
	assert_true(w->server >= 0);
}

static void bytes_pass_both_ways(void **state)
{
	struct world *w = *state;
	char bytes[16];
	join(w);
	assert_int_equal(send(w->client, "ping", 4, 0), 4);
	assert_int_equal(await(w->loop, w->server, bytes, sizeof(bytes)), 4);
	assert_int_equal(send(w->server, "pong!", 5, 0), 5);
	assert_int_equal(await(w->loop, w->client, bytes, sizeof(bytes)), 5);
}

/* Also when the client says nothing, and also when it has said all before the server is there. */
static void what_a_relay_begins_with_comes_first(void **state)
{
	struct world *w = *state;
	char bytes[32];
	w->header = "header ";
	join(w);
	assert_int_equal(await(w->loop, w->server, bytes, sizeof(bytes)), 7);
	assert_memory_equal(bytes, "header ", 7);
	assert_int_equal(send(w->server, "pong", 4, 0), 4);
	assert_int_equal(await(w->loop, w->client, bytes, sizeof(bytes)), 4);
	close(w->client);
	close(w->server);
	turn(w->loop, 20);

	arrive(w, 1);
	assert_int_equal(send(w->client, "ping", 4, 0), 4);
	shutdown(w->client, SHUT_WR);
	turn(w->loop, 20);
	w->server = accept(w->listener, NULL, NULL);
	size_t got = 0;
	for (ssize_t n = 1; n > 0; got += n > 0 ? (size_t)n : 0)
		n = await(w->loop, w->server, bytes + got, sizeof(bytes) - got);
	assert_int_equal(got, 11);
	assert_memory_equal(bytes, "header ping", 11);
}

/* Frames of every size cost no allocation: the first one would fail, and with it the connection. */
static void nothing_is_allocated_per_frame(void **state)
{
	struct world *w = *state;
	static uint8_t bytes[PG_FRAME_MAX];
	join(w);
	for (int i = -10; i < 200; i++) {
		size_t n = 1 + (size_t)(i + 10) * 7919 % 16000;
		if (i == 0)
			pg_mem_fail_after(0);
		assert_int_equal(send(w->client, bytes, n, 0), n);
		for (size_t got = 0; got < n;) {
			ssize_t part = await(w->loop, w->server, bytes, sizeof(bytes));
			assert_true(part > 0);
			got += (size_t)part;
		}
	}
	assert_false(pg_mem_failed());
	pg_mem_fail_after(SIZE_MAX);
}

static void the_clients_fin_arrives_and_the_answer_comes_back(void **state)
{
	struct world *w = *state;
	char bytes[16];
	join(w);
	shutdown(w->client, SHUT_WR);
	assert_int_equal(await(w->loop, w->server, bytes, sizeof(bytes)), 0);
	assert_int_equal(send(w->server, "answer", 6, 0), 6);
	close(w->server);
	w->server = -1;
	assert_int_equal(await(w->loop, w->client, bytes, sizeof(bytes)), 6);
	assert_int_equal(await(w->loop, w->client, bytes, sizeof(bytes)), 0);
	turn(w->loop, 20);
	assert_int_equal(w->agent_ends, 1);
	assert_int_equal(w->laptop_ends, 1);
	assert_int_equal(w->why, 0);
}

static void the_servers_fin_arrives_and_the_client_goes_on(void **state)
{
	struct world *w = *state;
	char bytes[16];
	join(w);
	shutdown(w->server, SHUT_WR);
	assert_int_equal(await(w->loop, w->client, bytes, sizeof(bytes)), 0);
	assert_int_equal(send(w->client, "more", 4, 0), 4);
	assert_int_equal(await(w->loop, w->server, bytes, sizeof(bytes)), 4);
}

static void the_clients_reset_arrives_as_a_reset(void **state)
{
	struct world *w = *state;
	char bytes[16];
	join(w);
	pg_sock_close_reset(w->client);
	w->client = -1;
	assert_int_equal(await(w->loop, w->server, bytes, sizeof(bytes)), -ECONNRESET);
}

static void the_servers_reset_arrives_as_a_reset_after_its_data(void **state)
{
	struct world *w = *state;
	char bytes[16];
	join(w);
	assert_int_equal(send(w->server, "last", 4, 0), 4);
	pg_sock_close_reset(w->server);
	w->server = -1;
	assert_int_equal(await(w->loop, w->client, bytes, sizeof(bytes)), 4);
	assert_int_equal(await(w->loop, w->client, bytes, sizeof(bytes)), -ECONNRESET);
}

static void a_reset_is_noticed_while_reading_is_paused(void **state)
{
	struct world *w = *state;
	static uint8_t chunk[64 << 10];
	char byte;
	join(w);
	for (int i = 0; i < 300; i++) { /* the client does not read */
		(void)!send(w->server, chunk, sizeof(chunk), MSG_DONTWAIT);
		turn(w->loop, 1);
	}
	pg_sock_close_reset(w->client);
	w->client = -1;
	assert_int_equal(await(w->loop, w->server, &byte, 1), -ECONNRESET);
}

static void a_refused_connection_is_handed_back_with_its_bytes(void **state)
{
	struct world *w = *state;
	const uint8_t *run;
	close(w->listener);
	w->listener = -1;
	arrive(w, 1);
	assert_int_equal(send(w->client, "hello", 5, 0), 5);
	shutdown(w->client, SHUT_WR);
	for (int i = 0; i < 100 && w->refusals == 0; i++)
		turn(w->loop, 5);
	assert_int_equal(w->refusals, 1);
	assert_int_equal(w->agent_ends, 0);
	assert_int_equal(w->why, PG_RESET_REFUSED);
	/* Every byte is either kept or still in the socket. */
	char bytes[16] = "";
	size_t kept = pg_byteq_peek(&w->kept, &run);
	if (kept > 0)
		memcpy(bytes, run, kept);
	ssize_t more = take(w->returned, bytes + kept, sizeof(bytes) - kept);
	assert_int_equal(kept + (more > 0 ? (size_t)more : 0), 5);
	assert_memory_equal(bytes, "hello", 5);
}

static void a_connection_of_an_unknown_redirect_is_handed_back(void **state)
{
	struct world *w = *state;
	arrive(w, 2);
	for (int i = 0; i < 100 && w->refusals == 0; i++)
		turn(w->loop, 5);
	assert_int_equal(w->refusals, 1);
	assert_int_equal(w->why, PG_RESET_UNKNOWN);
}

static void a_connection_that_waits_too_long_is_handed_back(void **state)
{
	struct world *w = *state;
	arrive(w, 1);
	pg_relay_give_back(w->relay, PG_RESET_TIMEOUT);
	assert_int_equal(w->refusals, 1);
	assert_int_equal(w->why, PG_RESET_TIMEOUT);
	turn(w->loop, 20);
	assert_int_equal(pg_mux_streams(pg_link_mux(w->agent)), 0);
}

static void an_accepted_connection_ends_with_its_link(void **state)
{
	struct world *w = *state;
	char byte;
	join(w);
	assert_int_equal(send(w->client, "x", 1, 0), 1);
	assert_int_equal(await(w->loop, w->server, &byte, 1), 1);
	pg_link_free(w->laptop);
	w->laptop = NULL;
	assert_int_equal(await(w->loop, w->server, &byte, 1), -ECONNRESET);
	turn(w->loop, 50);
	assert_int_equal(w->link_ends, 1);
	pg_link_free(w->agent);
	w->agent = NULL;
	assert_int_equal(await(w->loop, w->client, &byte, 1), -ECONNRESET);
}

static void a_slow_client_holds_the_server_and_loses_nothing(void **state)
{
	struct world *w = *state;
	static uint8_t chunk[64 << 10];
	size_t sent = 0, got = 0, offered = 800 * sizeof(chunk);
	join(w);
	for (int i = 0; i < 800; i++) {
		ssize_t n = send(w->server, chunk, sizeof(chunk), MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		turn(w->loop, 1);
	}
	assert_true(sent < offered);
	shutdown(w->server, SHUT_WR);
	for (ssize_t n = 1; n > 0; got += n > 0 ? (size_t)n : 0)
		n = await(w->loop, w->client, chunk, sizeof(chunk));
	assert_int_equal(got, sent);
}

/* Both halves have ended, and the client is reset before it has read all: that is one end. Where
 * the bytes wait depends on buffers of the kernel, so many sizes are tried. */
static void a_reset_while_the_last_bytes_wait_is_one_end(void **state)
{
	struct world *w = *state;
	static uint8_t bytes[160 << 10];
	char byte;
	w->is_tight = true;
	for (size_t n = 8 << 10; n <= sizeof(bytes); n += 8 << 10) {
		int ends = w->agent_ends;
		join(w);
		shutdown(w->client, SHUT_WR);
		assert_int_equal(await(w->loop, w->server, &byte, 1), 0);
		(void)!send(w->server, bytes, n, MSG_DONTWAIT);
		shutdown(w->server, SHUT_WR);
		turn(w->loop, 10);
		pg_sock_close_reset(w->client);
		turn(w->loop, 10);
		assert_int_equal(w->agent_ends, ends + 1);
		close(w->server);
		w->client = w->server = -1;
	}
}

/* The server answers nobody, as its queue is full; *waiting is who fills it. */
static void make_deaf(struct world *w, int *waiting)
{
	assert_int_equal(listen(w->listener, 0), 0);
	*waiting = pg_sock_connect((struct sockaddr *)&w->to, 0);
	assert_true(*waiting >= 0);
}

/* Lets the server answer: a SYN that was not heard is repeated after a second. */
static void make_hear(struct world *w, int waiting)
{
	struct pollfd ready = { .fd = w->listener, .events = POLLIN };
	close(accept(w->listener, NULL, NULL));
	close(waiting);
	for (int i = 0; i < 100 && poll(&ready, 1, 0) == 0; i++)
		turn(w->loop, 50);
	w->server = accept(w->listener, NULL, NULL);
	assert_true(w->server >= 0);
}

enum { AHEAD = 40 << 10 }; /* more than is read before the laptop has connected */

/* AHEAD bytes, one urgent and one more of a client whom nobody reads from yet. */
static void send_urgently(struct world *w)
{
	static uint8_t bytes[AHEAD];
	assert_int_equal(send(w->client, bytes, sizeof(bytes), 0), sizeof(bytes));
	turn(w->loop, 20);
	assert_int_equal(send(w->client, "!", 1, MSG_OOB), 1);
	assert_int_equal(send(w->client, "z", 1, 0), 1);
	turn(w->loop, 20);
	assert_int_equal(w->agent_ends + w->laptop_ends + w->refusals, 0);
}

static void read_urgently(struct world *w)
{
	static uint8_t got[AHEAD + 2];
	size_t n = 0;
	for (ssize_t more = 1; more > 0 && n<sizeof(got); n += more> 0 ? (size_t)more : 0)
		more = await(w->loop, w->server, got + n, sizeof(got) - n);
	assert_int_equal(n, sizeof(got));
	assert_memory_equal(got + AHEAD, "!z", 2);
}

static void an_urgent_byte_is_one_of_the_stream(void **state)
{
	struct world *w = *state;
	int waiting;
	char byte;
	make_deaf(w, &waiting);
	arrive(w, 1);
	send_urgently(w);
	make_hear(w, waiting);
	read_urgently(w);
	assert_int_equal(send(w->server, "y", 1, 0), 1);
	assert_int_equal(await(w->loop, w->client, &byte, 1), 1);
}

static void a_reset_after_an_urgent_byte_is_one(void **state)
{
	struct world *w = *state;
	int waiting;
	char byte;
	make_deaf(w, &waiting);
	arrive(w, 1);
	send_urgently(w);
	pg_sock_close_reset(w->client);
	w->client = -1;
	make_hear(w, waiting);
	read_urgently(w);
	assert_int_equal(await(w->loop, w->server, &byte, 1), -ECONNRESET);
	assert_int_equal(w->agent_ends, 1);
}

/* The server never reads, so what the client had sent cannot be delivered before the reset; but a
 * server that writes must not write into nothing for ever. */
static void a_reset_reaches_a_server_that_only_writes(void **state)
{
	struct world *w = *state;
	static uint8_t chunk[64 << 10];
	join(w);
	for (int i = 0; i < 300; i++) {
		(void)!send(w->client, chunk, sizeof(chunk), MSG_DONTWAIT);
		turn(w->loop, 1);
	}
	pg_sock_close_reset(w->client);
	w->client = -1;
	turn(w->loop, 20);
	ssize_t n = 0;
	for (int i = 0; i < 300 && n >= 0; i++) {
		n = send(w->server, chunk, sizeof(chunk), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			n = 0;
		turn(w->loop, 1);
	}
	assert_true(n < 0);
	assert_int_equal(w->agent_ends, 1);
	assert_int_equal(w->laptop_ends, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_pass_both_ways),
		TEST(what_a_relay_begins_with_comes_first),
		TEST(nothing_is_allocated_per_frame),
		TEST(the_clients_fin_arrives_and_the_answer_comes_back),
		TEST(the_servers_fin_arrives_and_the_client_goes_on),
		TEST(the_clients_reset_arrives_as_a_reset),
		TEST(the_servers_reset_arrives_as_a_reset_after_its_data),
		TEST(a_reset_is_noticed_while_reading_is_paused),
		TEST(a_refused_connection_is_handed_back_with_its_bytes),
		TEST(a_connection_of_an_unknown_redirect_is_handed_back),
		TEST(a_connection_that_waits_too_long_is_handed_back),
		TEST(an_accepted_connection_ends_with_its_link),
		TEST(a_slow_client_holds_the_server_and_loses_nothing),
		TEST(a_reset_while_the_last_bytes_wait_is_one_end),
		TEST(an_urgent_byte_is_one_of_the_stream),
		TEST(a_reset_after_an_urgent_byte_is_one),
		TEST(a_reset_reaches_a_server_that_only_writes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
