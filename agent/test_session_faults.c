/* Sessions without memory, and laptops that do not keep to the rules. */
#include <dirent.h>

#include "agent/test_laptop.h"
#include "proto/base/num.h"
#include "proto/wire/frame.h"

static int count_fds(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* One allocation fails at one point or another of a whole life: nothing crashes, nothing is left,
 * and the next session works. */
static void every_allocation_may_fail(void **state)
{
	struct world *w = *state;
	struct laptop *l = &w->laptops[0];
	int failed = 1;
	turn(w, 20);
	end_laptop(l);
	turn(w, 20);
	pg_redirects_rest(w->redirects);
	turn(w, 20);
	int fds = count_fds();
	for (size_t nth = 0; failed && nth < 1000; nth++) {
		char byte;
		int server = -1, client = -1;
		pg_mem_fail_after(nth);
		if (begin_session(w, l) == 0 && add_lane(l, 0, NULL) == 0 &&
		    start(l, 1, PORT, "ann@laptop") == 0) {
			client = dial_from(w, w->ns.outside, POD4, PORT);
			if (client >= 0 && send(client, "x", 1, MSG_NOSIGNAL) == 1)
				arrived_at(w, &server);
			if (server >= 0)
				await(w, server, &byte, 1);
		}
		if (l->session && l->lanes[0])
			stop(l, 1);
		failed = pg_mem_failed();
		pg_mem_fail_after((size_t)-1);
		say_goodbye(l);
		turn(w, 20);
		end_laptop(l);
		for (int i = 0; i < 2; i++)
			if ((i ? server : client) >= 0)
				close(i ? server : client);
		turn(w, 20);
		assert_int_equal(pg_redirects_count(w->redirects), 0);
		empty_app(w);
		assert_int_equal(pg_connections_open(w->connections), 0);
		pg_redirects_rest(w->redirects);
		turn(w, 5);
		assert_int_equal(count_fds(), fds);
	}
	assert_false(failed);
}

/* 0 to n - 1, the same sequence each time. */
static uint32_t dice(uint32_t n)
{
	static uint32_t x = 2463534242;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x % n;
}

/* What the agent has said so far, as far as it matters to a wild laptop. */
struct heard {
	uint8_t bytes[PG_FRAME_HDR + PG_FRAME_MAX];
	size_t n;
	uint32_t last_stream; /* that it has opened */
};

static void listen_to(struct heard *h, int raw)
{
	struct pg_frame f;
	ssize_t got;
	while ((got = recv(raw, h->bytes + h->n, sizeof(h->bytes) - h->n, MSG_DONTWAIT)) > 0) {
		h->n += (size_t)got;
		while (pg_frame_decode(h->bytes, h->n, &f) > 0 &&
		       h->n >= PG_FRAME_HDR + (size_t)f.len) {
			if (f.type == PG_F_OPEN)
				h->last_stream = f.stream;
			h->n -= PG_FRAME_HDR + (size_t)f.len;
			memmove(h->bytes, h->bytes + PG_FRAME_HDR + f.len, h->n);
		}
	}
}

/* A frame that is legal by itself, of one of the agent's latest streams, or of none for once. */
static size_t any_frame(const struct heard *h, uint8_t *out)
{
	static const enum pg_frame_type types[] = { PG_F_DATA,     PG_F_DATA,  PG_F_CREDIT,
						    PG_F_EOF,      PG_F_RESET, PG_F_ACCEPTED,
						    PG_F_ACCEPTED, PG_F_PING };
	uint8_t *payload = out + PG_FRAME_HDR;
	struct pg_frame f = { .type = types[dice(PG_LEN(types))],
			      .stream = h->last_stream - 2 * dice(4) };
	if (dice(100) == 0 || f.stream == 0 || f.stream > h->last_stream)
		f.stream = h->last_stream + 2;
	switch (f.type) {
	case PG_F_DATA:
		f.len = (uint16_t)(1 + dice(6000));
		memset(payload, 'd', f.len);
		break;
	case PG_F_CREDIT:
		f.len = 4;
		pg_put_be32(payload, 1 + dice(100000));
		break;
	case PG_F_RESET:
		f.len = 1;
		payload[0] = (uint8_t)(1 + dice(PG_RESET_COUNT - 1));
		break;
	case PG_F_PING:
		f.stream = 0;
		f.len = 8;
		memset(payload, 7, f.len);
		break;
	default:
		break;
	}
	pg_frame_encode(&f, out);
	return PG_FRAME_HDR + (size_t)f.len;
}

static void send_start(int raw, uint32_t id)
{
	uint8_t bytes[PG_FRAME_HDR + 256];
	Podgraft__V1__RedirectStart body = PODGRAFT__V1__REDIRECT_START__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	body.redirect = id;
	body.port = PORT;
	body.owner = (char *)(uintptr_t) "eve@laptop";
	msg.request = id;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_START;
	msg.redirect_start = &body;
	int n = pg_msg_pack(&msg, bytes + PG_FRAME_HDR, sizeof(bytes) - PG_FRAME_HDR);
	struct pg_frame f = { .type = PG_F_CONTROL, .len = (uint16_t)n };
	pg_frame_encode(&f, bytes);
	(void)!send(raw, bytes, PG_FRAME_HDR + (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What a client may do at any time. */
static void any_client_step(struct world *w, int *client)
{
	static const uint8_t bytes[20000];
	switch (*client < 0 ? 0 : 1 + dice(5)) {
	case 0:
		*client = dial_from(w, w->ns.outside, POD4, PORT);
		break;
	case 1:
		(void)!send(*client, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case 2:
		(void)!send(*client, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_OOB);
		break;
	case 3:
		shutdown(*client, SHUT_WR);
		break;
	case 4:
		pg_sock_close_reset(*client);
		*client = -1;
		break;
	case 5:
		close(*client);
		*client = -1;
		break;
	}
}

/* A laptop with a key says whatever it likes, while clients do what they like. */
static void a_wild_laptop_harms_only_its_session(void **state)
{
	struct world *w = *state;
	struct laptop *wild = &w->laptops[1];
	int clients[5] = { -1, -1, -1, -1, -1 }, raw = -1;
	uint8_t frame[PG_FRAME_HDR + PG_FRAME_MAX];
	static struct heard heard;
	assert_int_equal(start(&w->laptops[0], 1, OTHER_PORT, "ann@laptop"), 0);
	w->log.to = fopen("/dev/null", "w");
	for (int i = 0; i < 4000; i++) {
		if (!wild->session) {
			if (raw >= 0)
				close(raw);
			assert_int_equal(begin_session(w, wild), 0);
			assert_int_equal(add_lane(wild, 0, &raw), 0);
			heard = (struct heard){ .n = 0 };
		}
		if (i % 20 == 0) /* ... again: what was parked is on again */
			send_start(raw, 1);
		if (dice(2))
			(void)!send(raw, frame, any_frame(&heard, frame),
				    MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			any_client_step(w, &clients[dice(5)]);
		listen_to(&heard, raw);
		turn(w, dice(3));
		if (i % 50 == 0)
			empty_app(w);
	}
	close(raw);
	for (int i = 0; i < 5; i++)
		if (clients[i] >= 0)
			close(clients[i]);
	turn(w, 50);
	empty_app(w);
	turn(w, 50);
	assert_null(wild->session);
	assert_non_null(w->laptops[0].session);
	assert_int_equal(pg_redirects_count(w->redirects), 1);
	assert_int_equal(pg_connections_open(w->connections), 0);
	fclose(w->log.to);
	w->log.to = stderr;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_wild_laptop_harms_only_its_session),
		TEST(every_allocation_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
