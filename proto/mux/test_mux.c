#include "proto/mux/mux_impl.h"
#include "proto/mux/test_rig.h"

/* What a stream promises, one promise a test. */

static void a_request_and_its_answer(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	struct app *a = rig_open(&r->agent);
	rig_send(a, 100, true);
	rig_settle(r);
	struct app *b = rig_other(a);
	assert_non_null(b);
	assert_int_equal(b->arrived, 100);
	assert_true(b->got_eof);
	assert_int_equal(a->accepted, 1);
	assert_non_null(a->s); /* half-closed: the answer is still to come */
	rig_send(b, 200000, true);
	rig_settle(r);
	assert_int_equal(a->arrived, 200000);
	assert_int_equal(a->gone + b->gone, 2);
	assert_int_equal(a->reason, 0);
	assert_int_equal(b->reason, 0);
	assert_int_equal(pg_mux_streams(r->agent.m) + pg_mux_streams(r->laptop.m), 0);
	assert_int_equal(pg_mux_bytes_out(r->laptop.m), 200000);
	assert_int_equal(pg_mux_bytes_in(r->agent.m), 200000);
	rig_free(r);
}

static void open_data_and_eof_leave_in_one_slot(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	struct app *a = rig_open(&r->agent);
	rig_send(a, 100, true);
	assert_int_equal(rig_pull(&r->agent, 1), 8 + 4 + 8 + 100 + 8);
	rig_free(r);
}

static void ids_follow_the_side(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	assert_int_equal(rig_open(&r->laptop)->id, 1);
	assert_int_equal(rig_open(&r->laptop)->id, 3);
	assert_int_equal(rig_open(&r->agent)->id, 2);
	r->agent.m->next_id = INT32_MAX - 1;
	assert_int_equal(rig_open(&r->agent)->id, INT32_MAX - 1);
	struct pg_stream *s;
	assert_int_equal(pg_mux_open(r->agent.m, (const uint8_t *)"o", 1, NULL, &s), -EOVERFLOW);
	rig_settle(r);
	rig_free(r);
}

static void at_most_64_kib_before_accepted(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	r->laptop.accepts = false;
	struct app *a = rig_open(&r->agent);
	rig_send(a, 1 << 20, false);
	rig_settle(r);
	struct app *b = rig_other(a);
	assert_int_equal(b->arrived, PG_UNACCEPTED_MAX); /* though all of it was consumed */
	assert_false(pg_stream_is_accepted(a->s));
	pg_stream_accept(b->s);
	rig_settle(r);
	assert_int_equal(b->arrived, 1 << 20);
	rig_free(r);
}

static void the_answer_does_not_wait_for_accepted(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	r->laptop.accepts = false;
	struct app *a = rig_open(&r->agent);
	rig_settle(r);
	rig_send(rig_other(a), 1 << 20, true);
	rig_settle(r);
	assert_int_equal(a->arrived, 1 << 20);
	assert_true(a->got_eof);
	rig_free(r);
}

static void a_stuck_stream_stops_at_its_credit_and_starves_nobody(void **state)
{
	(void)state;
	struct rig *r = rig_new(64);
	struct app *stuck[20];
	for (int i = 0; i < 20; i++) {
		r->laptop.eats = false;
		stuck[i] = rig_open(&r->agent);
		rig_send(stuck[i], 1 << 20, true);
	}
	rig_settle(r);
	r->laptop.eats = true;
	struct app *lively = rig_open(&r->agent);
	rig_send(lively, 1 << 20, true);
	rig_settle(r);
	assert_int_equal(rig_other(lively)->arrived, 1 << 20);
	for (int i = 0; i < 20; i++) {
		struct app *b = rig_other(stuck[i]);
		assert_int_equal(b->arrived, PG_CREDIT_OWN);
		b->eats = true;
		rig_consume(b, b->arrived);
	}
	rig_settle(r);
	for (int i = 0; i < 20; i++)
		assert_int_equal(rig_other(stuck[i])->arrived, 1 << 20);
	rig_free(r);
}

static void small_consumes_share_a_credit_frame(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	r->laptop.eats = false;
	struct app *a = rig_open(&r->agent);
	rig_send(a, PG_CREDIT_OWN, false);
	rig_settle(r);
	struct app *b = rig_other(a);
	size_t bytes = 0;
	for (int i = 0; i < PG_CREDIT_OWN; i++) {
		rig_consume(b, 1);
		bytes += rig_pull(&r->laptop, 1);
	}
	assert_in_range(bytes, 12, 5 * 12); /* 12 bytes a CREDIT frame, 4 of them due */
	rig_free(r);
}

static void gone_waits_until_all_is_consumed(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	r->laptop.eats = false;
	struct app *a = rig_open(&r->agent);
	rig_send(a, 1000, true);
	rig_settle(r);
	struct app *b = rig_other(a);
	rig_send(b, 10, true);
	rig_settle(r);
	assert_int_equal(a->gone, 1);
	assert_int_equal(b->gone, 0);
	rig_consume(b, 999);
	assert_int_equal(b->gone, 0);
	rig_consume(b, 1);
	assert_int_equal(b->gone, 1);
	rig_free(r);
}

static void a_reset_says_why(void **state)
{
	(void)state;
	for (unsigned reason = PG_RESET_PEER; reason < PG_RESET_COUNT; reason++) {
		struct rig *r = rig_new(16);
		r->laptop.eats = false;
		struct app *a = rig_open(&r->agent);
		rig_send(a, 5000, false);
		rig_settle(r);
		struct app *b = rig_other(a);
		rig_reset(b, (enum pg_reset)reason);
		assert_int_equal(pg_mux_streams(r->laptop.m), 0);
		rig_send(a, 3000, true); /* on its way before the RESET arrives: late, ignored */
		rig_pull(&r->agent, 8);
		rig_settle(r);
		assert_int_equal(a->gone, 1);
		assert_int_equal(a->reason, reason);
		assert_int_equal(r->laptop.m->zombies, 0);
		rig_free(r);
	}
}

static void resets_that_cross_are_one_end_each(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	struct app *a = rig_open(&r->agent);
	rig_settle(r);
	rig_reset(rig_other(a), PG_RESET_TIMEOUT);
	rig_reset(a, PG_RESET_GOING);
	rig_settle(r);
	assert_int_equal(pg_mux_streams(r->laptop.m) + pg_mux_streams(r->agent.m), 0);
	rig_free(r);
}

static void a_failed_read_resets_both(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	struct app *a = rig_open(&r->agent);
	a->fails = -ECONNRESET;
	rig_send(a, 100, false);
	rig_settle(r);
	assert_int_equal(a->gone, 1);
	assert_int_equal(a->reason, PG_RESET_PEER);
	assert_int_equal(rig_other(a)->arrived, 100);
	assert_int_equal(rig_other(a)->reason, PG_RESET_PEER);
	rig_free(r);
}

static void a_refused_open_is_reset_and_its_data_ignored(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	r->laptop.refuse = PG_RESET_UNKNOWN;
	struct app *a = rig_open(&r->agent);
	rig_send(a, 10000, true);
	rig_settle(r);
	assert_int_equal(a->gone, 1);
	assert_int_equal(a->reason, PG_RESET_UNKNOWN);
	assert_int_equal(a->accepted, 0);
	rig_free(r);
}

static void the_limit_counts_both_sides(void **state)
{
	(void)state;
	struct rig *r = rig_new(4);
	r->agent.m->config.max_streams = 100;
	rig_open(&r->laptop);
	for (int i = 0; i < 10; i++)
		rig_open(&r->agent);
	rig_settle(r);
	assert_int_equal(pg_mux_streams(r->laptop.m), 4);
	assert_int_equal(pg_mux_streams(r->agent.m), 4);
	struct pg_stream *s;
	assert_int_equal(pg_mux_open(r->laptop.m, (const uint8_t *)"o", 1, NULL, &s), -EMFILE);
	unsigned refused = 0;
	for (size_t i = 0; i < r->agent.apps_n; i++)
		refused += r->agent.apps[i].reason == PG_RESET_LIMIT;
	assert_int_equal(refused, 7);
	rig_free(r);
}

/* Credit for more than a few slots, out of thin air. */
static void enrich(struct app *a)
{
	assert_int_equal(pg_allowance_granted(&a->s->out, 1 << 20), 0);
	pg_allowance_accepted(&a->s->out);
}

static void one_stream_alone_fills_all_slots_in_one_read(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	struct app *a = rig_open(&r->agent);
	enrich(a);
	rig_pull(&r->agent, 1);
	rig_send(a, 1 << 20, false);
	assert_int_equal(rig_pull(&r->agent, 8), 8 * PG_FRAME_SLOT);
	assert_int_equal(r->agent.reads, 1);
	rig_free(r);
}

static void ready_streams_take_turns(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	struct app *a[4];
	for (int i = 0; i < 4; i++) {
		a[i] = rig_open(&r->agent);
		enrich(a[i]);
	}
	rig_pull(&r->agent, 1);
	for (int i = 0; i < 4; i++)
		rig_send(a[i], 1 << 20, false);
	for (int round = 1; round <= 3; round++) {
		assert_int_equal(rig_pull(&r->agent, 4), 4 * PG_FRAME_SLOT);
		for (int i = 0; i < 4; i++)
			assert_int_equal(a[i]->sent, round * (PG_FRAME_SLOT - PG_FRAME_HDR));
	}
	rig_free(r);
}

static void small_frames_share_a_slot(void **state)
{
	(void)state;
	struct rig *r = rig_new(64);
	for (int i = 0; i < 40; i++)
		rig_send(rig_open(&r->agent), 10, false);
	assert_int_equal(rig_pull(&r->agent, 1), 40 * (8 + 4 + 8 + 10));
	rig_free(r);
}

static void control_messages_of_every_size(void **state)
{
	(void)state;
	static uint8_t msg[PG_FRAME_MAX] = "c";
	struct rig *r = rig_new(4);
	size_t total = 0;
	for (size_t n = 1; n <= sizeof(msg); n = n * 2 + (n < 4)) {
		assert_int_equal(pg_mux_control(r->laptop.m, msg, n), 0);
		total += n;
	}
	assert_int_equal(pg_mux_control(r->laptop.m, msg, sizeof(msg)), 0);
	while (rig_pull(&r->laptop, 1) > 0)
		; /* the largest does not fit into one slot: it is cut */
	assert_int_equal(rig_deliver(&r->laptop, SIZE_MAX), 0);
	assert_int_equal(r->agent.control_bytes, total + sizeof(msg));
	rig_free(r);
}

static void control_has_its_place_beside_opens(void **state)
{
	(void)state;
	static uint8_t msg[PG_FRAME_MAX] = "c";
	struct rig *r = rig_new(1 << 20);
	struct pg_stream *s;
	int rc;
	while ((rc = pg_mux_open(r->agent.m, msg, sizeof(msg), NULL, &s)) == 0)
		;
	assert_int_equal(rc, -EMFILE);
	size_t n = 0;
	while ((rc = pg_mux_control(r->agent.m, msg, 1000)) == 0)
		n += 1008;
	assert_int_equal(rc, -ENOBUFS);
	assert_true(n > PG_CONTROL_QUEUE - 1008);
	/* not pg_mux_free(): these streams have no owner to be told */
	struct pg_turn *t;
	while ((t = pg_sched_first(&r->agent.m->all)) != NULL)
		pg_stream_reset(PG_STREAM_OF(t, in_all), PG_RESET_GOING);
	rig_free(r);
}

static void a_malformed_control_message_ends_the_lane(void **state)
{
	(void)state;
	struct rig *r = rig_new(4);
	r->agent.control_rc = -EPROTO;
	pg_mux_control(r->laptop.m, (const uint8_t *)"c", 1);
	rig_pull(&r->laptop, 1);
	assert_int_equal(rig_deliver(&r->laptop, SIZE_MAX), -EPROTO);
	assert_string_equal(pg_mux_fault(r->agent.m), "a control message is malformed");
	assert_int_equal(pg_mux_feed(r->agent.m, (const uint8_t *)"", 0, 0), -EPROTO);
	assert_int_equal(rig_pull(&r->agent, 8), 0);
	rig_free(r);
}

static void freeing_tells_every_owner(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	struct app *a[5];
	for (int i = 0; i < 5; i++)
		a[i] = rig_open(i % 2 ? &r->agent : &r->laptop);
	rig_settle(r);
	pg_mux_free(r->agent.m);
	r->agent.m = NULL;
	for (int i = 0; i < 5; i++) {
		struct app *b = i % 2 ? a[i] : rig_other(a[i]);
		assert_int_equal(b->gone, 1);
		assert_int_equal(b->reason, PG_RESET_GOING);
	}
	rig_free(r);
}

static void wakes_once_for_each_rest(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	pg_mux_tick(r->agent.m, 0);
	assert_int_equal(r->agent.wakes, 1); /* the first PING */
	struct app *a = rig_open(&r->agent);
	rig_send(a, 10, false);
	assert_int_equal(r->agent.wakes, 1); /* it has not looked since */
	rig_pull(&r->agent, 8);
	pg_mux_control(r->agent.m, (const uint8_t *)"c", 1);
	pg_mux_control(r->agent.m, (const uint8_t *)"c", 1);
	assert_int_equal(r->agent.wakes, 2);
	rig_free(r);
}

static void ten_thousand_streams_are_cheap(void **state)
{
	(void)state;
	enum { N = 20000 };
	struct rig *r = rig_new(N);
	r->laptop.refuse = PG_RESET_UNKNOWN;
	struct app *owner = calloc(1, sizeof(*owner));
	struct pg_stream **s = calloc(N, sizeof(struct pg_stream *));
	assert_true(owner && s);
	assert_true(sizeof(struct pg_stream) < 400);
	for (int i = 0; i < N; i++)
		assert_int_equal(pg_mux_open(r->agent.m, (const uint8_t *)"open", 4, owner, &s[i]),
				 0);
	assert_int_equal(pg_mux_streams(r->agent.m), N);
	for (int i = 0; i < N; i += 2)
		pg_stream_reset(s[i], PG_RESET_GOING);
	while (rig_pull(&r->agent, 8) > 0)
		rig_deliver(&r->agent, SIZE_MAX);
	assert_int_equal(pg_mux_streams(r->agent.m), N / 2);
	for (int i = 1; i < N; i += 2)
		pg_stream_reset(s[i], PG_RESET_GOING);
	rig_settle(r);
	assert_null(r->agent.m->table.slots);
	free(s);
	free(owner);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_and_its_answer),
		cmocka_unit_test(open_data_and_eof_leave_in_one_slot),
		cmocka_unit_test(ids_follow_the_side),
		cmocka_unit_test(at_most_64_kib_before_accepted),
		cmocka_unit_test(the_answer_does_not_wait_for_accepted),
		cmocka_unit_test(a_stuck_stream_stops_at_its_credit_and_starves_nobody),
		cmocka_unit_test(small_consumes_share_a_credit_frame),
		cmocka_unit_test(gone_waits_until_all_is_consumed),
		cmocka_unit_test(a_reset_says_why),
		cmocka_unit_test(resets_that_cross_are_one_end_each),
		cmocka_unit_test(a_failed_read_resets_both),
		cmocka_unit_test(a_refused_open_is_reset_and_its_data_ignored),
		cmocka_unit_test(the_limit_counts_both_sides),
		cmocka_unit_test(one_stream_alone_fills_all_slots_in_one_read),
		cmocka_unit_test(ready_streams_take_turns),
		cmocka_unit_test(small_frames_share_a_slot),
		cmocka_unit_test(control_messages_of_every_size),
		cmocka_unit_test(control_has_its_place_beside_opens),
		cmocka_unit_test(a_malformed_control_message_ends_the_lane),
		cmocka_unit_test(freeing_tells_every_owner),
		cmocka_unit_test(wakes_once_for_each_rest),
		cmocka_unit_test(ten_thousand_streams_are_cheap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
