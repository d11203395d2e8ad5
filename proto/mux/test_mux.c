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
	rig_free(r);
}

static void open_and_first_data_leave_in_one_slot(void **state)
{
	(void)state;
	struct rig *r = rig_new(16);
	struct app *a = rig_open(&r->agent);
	rig_send(a, 100, true);
	assert_int_equal(rig_pull(&r->agent, 1), 8 + 4 + 8 + 100 + 8);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_and_its_answer),
		cmocka_unit_test(open_and_first_data_leave_in_one_slot),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
