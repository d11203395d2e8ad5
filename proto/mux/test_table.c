#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "proto/base/mem.h"
#include "proto/mux/sched.h"
#include "proto/mux/stream.h"
#include "proto/mux/table.h"

enum { N = 5000 };

static void finds_what_is_in_it(void **state)
{
	(void)state;
	struct pg_table t;
	struct pg_stream *s = calloc(N, sizeof(*s));
	assert_non_null(s);
	for (uint64_t secret = 0; secret < 5; secret++) {
		pg_table_init(&t, secret);
		assert_null(pg_table_get(&t, 1));
		for (uint32_t i = 0; i < N; i++) {
			s[i].id =
				i % 3 ? i * 2 + 1 : (i + 1) << 12; /* next to each other, and far */
			assert_int_equal(pg_table_put(&t, &s[i]), 0);
		}
		for (uint32_t i = 0; i < N; i += 2)
			pg_table_drop(&t, &s[i]);
		for (uint32_t i = 0; i < N; i++)
			assert_ptr_equal(pg_table_get(&t, s[i].id), i % 2 ? &s[i] : NULL);
		assert_int_equal(t.n, N / 2);
		for (uint32_t i = 1; i < N; i += 2)
			pg_table_drop(&t, &s[i]);
		assert_int_equal(t.n, 0);
		assert_null(t.slots); /* memory is given back */
		pg_table_fini(&t);
	}
	free(s);
}

static void is_as_it_was_without_memory(void **state)
{
	(void)state;
	struct pg_table t;
	struct pg_stream s[40] = { 0 };
	pg_table_init(&t, 1);
	pg_mem_fail_after(0);
	assert_int_equal(pg_table_put(&t, &s[0]), -ENOMEM);
	uint32_t n = 0;
	for (;; n++) {
		s[n].id = n + 1;
		pg_mem_fail_after(n == 0 ? (size_t)-1 : 0);
		if (pg_table_put(&t, &s[n]) < 0)
			break;
	}
	for (uint32_t i = 0; i < n; i++)
		assert_ptr_equal(pg_table_get(&t, i + 1), &s[i]);
	assert_null(pg_table_get(&t, n + 1));
	assert_int_equal(pg_table_put(&t, &s[n]), 0);
	pg_mem_fail_after((size_t)-1);
	pg_table_fini(&t);
}

static void turns_go_round(void **state)
{
	(void)state;
	struct pg_sched q;
	struct pg_turn t[3] = { 0 };
	pg_sched_init(&q);
	assert_null(pg_sched_first(&q));
	for (int i = 0; i < 3; i++)
		pg_sched_join(&q, &t[i]);
	pg_sched_join(&q, &t[0]); /* waits already */
	assert_int_equal(q.n, 3);
	assert_ptr_equal(pg_sched_first(&q), &t[0]);
	assert_ptr_equal(pg_sched_next(&q, &t[0]), &t[1]);
	pg_sched_leave(&q, &t[0]);
	pg_sched_join(&q, &t[0]);
	assert_ptr_equal(pg_sched_first(&q), &t[1]);
	assert_null(pg_sched_next(&q, &t[0]));
	pg_sched_leave(&q, &t[2]);
	pg_sched_leave(&q, &t[2]);
	assert_false(pg_turn_waits(&t[2]));
	assert_ptr_equal(pg_sched_next(&q, &t[1]), &t[0]);
	pg_sched_leave(&q, &t[1]);
	pg_sched_leave(&q, &t[0]);
	assert_int_equal(q.n, 0);
	assert_null(pg_sched_first(&q));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_is_in_it),
		cmocka_unit_test(is_as_it_was_without_memory),
		cmocka_unit_test(turns_go_round),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
