#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "proto/base/auto.h"
#include "proto/base/byteq.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"

/* A small generator of our own, so that a failing walk is the same on every machine: xorshift64. */
static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* The queue's oracle: a plain array. */
struct model {
	uint8_t bytes[20000];
	size_t len;
};

static void model_put(struct model *m, const uint8_t *src, size_t n)
{
	memcpy(m->bytes + m->len, src, n);
	m->len += n;
}

static void model_drop(struct model *m, size_t n)
{
	memmove(m->bytes, m->bytes + n, m->len - n);
	m->len -= n;
}

static void check_invariants(const struct pg_byteq *q, const struct model *m)
{
	assert_int_equal(q->len, m->len);
	assert_true(q->len <= q->size && q->size <= q->cap);
	assert_true((q->ring == NULL) == (q->len == 0));
	const uint8_t *run = NULL;
	size_t n = pg_byteq_peek(q, &run);
	assert_true(n <= q->len && (n > 0) == (q->len > 0));
	assert_memory_equal(run ? run : m->bytes, m->bytes, n);
	if (q->len > n) /* the rest stands at the ring's start */
		assert_memory_equal(q->ring, m->bytes + n, q->len - n);
}

static void walk(size_t cap, uint64_t seed, int steps)
{
	static struct model m;
	static uint8_t src[20000];
	struct pg_byteq q;
	m.len = 0;
	pg_byteq_init(&q, cap);
	for (int i = 0; i < steps; i++) {
		uint64_t r = next_random(&seed);
		if (r % 3 != 0) {
			size_t n = (r >> 8) % (r % 5 == 0 ? cap + cap / 4 : cap / 8 + 1);
			for (size_t k = 0; k < n; k++)
				src[k] = (uint8_t)next_random(&seed);
			int want = n > cap - m.len ? -ENOBUFS : 0;
			assert_int_equal(pg_byteq_put(&q, src, n), want);
			if (want == 0)
				model_put(&m, src, n);
		} else {
			size_t n = (r >> 8) % (m.len + 1);
			pg_byteq_drop(&q, n);
			model_drop(&m, n);
		}
		check_invariants(&q, &m);
	}
	pg_byteq_fini(&q);
	m.len = 0;
	check_invariants(&q, &m);
}

static void agrees_with_an_array_on_random_walks(void **state)
{
	(void)state;
	static const size_t caps[] = { 1, 7, 4096, 4097, 5000, 16000 };
	for (size_t i = 0; i < PG_LEN(caps); i++)
		for (uint64_t seed = 1; seed <= 20; seed++)
			walk(caps[i], seed * 0x9e3779b97f4a7c15, 500);
}

static void holds_nothing_while_empty(void **state)
{
	(void)state;
	struct pg_byteq q;
	const uint8_t *run;
	pg_byteq_init(&q, 100);
	assert_int_equal(pg_byteq_peek(&q, &run), 0);
	assert_int_equal(pg_byteq_put(&q, NULL, 0), 0);
	assert_null(q.ring);
	assert_int_equal(pg_byteq_put(&q, (const uint8_t *)"abc", 3), 0);
	assert_non_null(q.ring);
	pg_byteq_drop(&q, 3);
	assert_null(q.ring);
	assert_int_equal(q.cap, 100);
	pg_byteq_fini(&q);
}

static void keeps_its_content_when_memory_is_out(void **state)
{
	(void)state;
	static const uint8_t more[8000];
	struct pg_byteq q;
	const uint8_t *run;
	pg_byteq_init(&q, 10000);
	pg_mem_fail_after(0);
	assert_int_equal(pg_byteq_put(&q, (const uint8_t *)"abc", 3), -ENOMEM);
	assert_int_equal(pg_byteq_put(&q, (const uint8_t *)"abc", 3), 0);
	pg_mem_fail_after(0);
	assert_int_equal(pg_byteq_put(&q, more, sizeof(more)), -ENOMEM);
	assert_int_equal(pg_byteq_peek(&q, &run), 3);
	assert_memory_equal(run, "abc", 3);
	pg_byteq_fini(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_an_array_on_random_walks),
		cmocka_unit_test(holds_nothing_while_empty),
		cmocka_unit_test(keeps_its_content_when_memory_is_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
