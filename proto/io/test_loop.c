#include "proto/io/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/resource.h>
#include <uv.h>

static void set_flag(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

static void unused(uv_timer_t *timer)
{
	(void)timer;
}

/* Waits for a flag that a timer sets; what the wait returned, and how long it took. */
static int wait_for_timer(struct pg_loop *l, uint64_t after_ms, uint64_t deadline_ms,
			  uint64_t *took_ms)
{
	bool done = false;
	uv_timer_t timer, later;
	uv_timer_init(pg_loop_uv(l), &timer);
	uv_timer_init(pg_loop_uv(l), &later);
	timer.data = &done;
	uv_timer_start(&timer, set_flag, after_ms, 0);
	uv_timer_start(&later, unused, 60000, 0); /* what a poll would sleep for */
	uint64_t start_us = pg_now_us();
	int rc = pg_loop_wait(l, &done, pg_loop_now_ms(l) + deadline_ms);
	*took_ms = (pg_now_us() - start_us) / 1000;
	uv_close((uv_handle_t *)&timer, NULL);
	uv_close((uv_handle_t *)&later, NULL);
	uv_run(pg_loop_uv(l), UV_RUN_NOWAIT); /* an interrupt's stop ends the first one early */
	uv_run(pg_loop_uv(l), UV_RUN_NOWAIT);
	return rc;
}

static void a_timer_ends_the_wait_at_once(void **state)
{
	struct pg_loop *l = pg_loop_new(NULL);
	uint64_t took_ms;
	(void)state;
	assert_int_equal(wait_for_timer(l, 0, 30000, &took_ms), 0);
	assert_true(took_ms < 500); /* the slow tick, a second away, would end it as well */
	assert_int_equal(wait_for_timer(l, 5, 30000, &took_ms), 0);
	assert_true(took_ms < 500);
	pg_loop_free(l);
}

static void the_deadline_ends_it_otherwise(void **state)
{
	struct pg_loop *l = pg_loop_new(NULL);
	uint64_t took_ms;
	(void)state;
	assert_int_equal(wait_for_timer(l, 20000, 10, &took_ms), -ETIMEDOUT);
	pg_loop_interrupt(l, true);
	assert_int_equal(wait_for_timer(l, 20000, 10000, &took_ms), -ECANCELED);
	assert_true(took_ms < 500);
	pg_loop_free(l);
}

/* What was told of a slow wait. */
struct slow {
	bool is_told;
	uint64_t waited_ms;
};

static void on_slow(void *ctx, uint64_t waited_ms)
{
	struct slow *s = ctx;
	s->is_told = true;
	s->waited_ms = waited_ms;
}

static void short_waits_that_are_one_are_told_of(void **state)
{
	struct pg_loop *l = pg_loop_new(NULL);
	struct slow told = { .is_told = false };
	const bool never = false;
	(void)state;
	pg_loop_on_slow(l, on_slow, &told);
	pg_loop_one_wait(l, true);
	for (int i = 0; i < 100 && !told.is_told; i++)
		pg_loop_wait(l, &never, pg_loop_now_ms(l) + 100);
	assert_true(told.is_told);
	assert_true(told.waited_ms >= 1000);
	pg_loop_one_wait(l, false);
	told.is_told = false;
	uint64_t began_ms = pg_loop_now_ms(l);
	assert_int_equal(pg_loop_wait(l, &told.is_told, began_ms + 30000), 0);
	assert_true(told.waited_ms >= 1000 && told.waited_ms <= pg_loop_now_ms(l) - began_ms);
	pg_loop_free(l);
}

/* A task that queues itself or another again, so often as it is told. */
struct counted {
	struct pg_loop *loop;
	struct pg_task task;
	struct counted *next;
	int runs, more;
};

static void count(void *ctx)
{
	struct counted *c = ctx;
	c->runs++;
	if (c->more-- > 0)
		pg_loop_soon(c->loop, &c->next->task);
}

static void what_is_to_be_done_soon_does_not_wait_for_an_event(void **state)
{
	struct pg_loop *l = pg_loop_new(NULL);
	struct counted a = { .loop = l, .task = { .run = count, .ctx = &a }, .next = &a };
	struct counted b = { .loop = l, .task = { .run = count, .ctx = &b }, .next = &a };
	uint64_t took_ms;
	(void)state;
	a.more = 500; /* more than one turn takes */
	b.more = 1;
	pg_loop_soon(l, &b.task);
	pg_loop_soon(l, &b.task);
	assert_int_equal(wait_for_timer(l, 200, 30000, &took_ms), 0);
	assert_int_equal(b.runs, 1);
	assert_int_equal(a.runs, 501);
	pg_loop_soon(l, &b.task);
	pg_loop_not_soon(l, &b.task);
	assert_int_equal(wait_for_timer(l, 1, 30000, &took_ms), 0);
	assert_int_equal(b.runs, 1);
	pg_loop_free(l);
}

/* A command that is up, and a job that waits for what does not come. */
struct served {
	struct pg_loop *loop;
	struct pg_task job;
	uv_timer_t timer;
	bool done;
	int waits, code;
};

static void wait_in_vain(void *ctx)
{
	struct served *s = ctx;
	const bool never = false;
	s->waits++;
	s->code = pg_loop_wait(s->loop, &never, UINT64_MAX);
}

static void wait_a_moment(void *ctx)
{
	struct served *s = ctx;
	const bool never = false;
	s->code = pg_loop_wait(s->loop, &never, pg_loop_now_ms(s->loop) + 10);
	s->done = ++s->waits == 2;
	if (!s->done)
		pg_loop_job(s->loop, &s->job);
}

static void on_time(uv_timer_t *timer)
{
	struct served *s = timer->data;
	if (s->waits == 0)
		pg_loop_job(s->loop, &s->job);
	else
		s->done = true;
}

static void serve(struct served *s, void (*job)(void *ctx))
{
	s->loop = pg_loop_new(NULL);
	s->job = (struct pg_task){ .run = job, .ctx = s };
	uv_timer_init(pg_loop_uv(s->loop), &s->timer);
	s->timer.data = s;
	uv_timer_start(&s->timer, on_time, 5, 50);
	assert_int_equal(pg_loop_serve(s->loop, &s->done), 0);
	uv_close((uv_handle_t *)&s->timer, NULL);
	pg_loop_free(s->loop);
}

static void a_job_ends_with_what_it_was_run_beside(void **state)
{
	struct served s = { .code = 1 };
	(void)state;
	serve(&s, wait_in_vain);
	assert_int_equal(s.waits, 1);
	assert_int_equal(s.code, -ECANCELED);
}

static void a_job_has_waits_of_its_own_and_may_come_again(void **state)
{
	struct served s = { .code = 1 };
	(void)state;
	serve(&s, wait_a_moment);
	assert_int_equal(s.waits, 2);
	assert_int_equal(s.code, -ETIMEDOUT);
}

static rlim_t soft_limit(void)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	return limit.rlim_cur;
}

static void many_files_are_had_and_given_back(void **state)
{
	struct rlimit was, few;
	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = (struct rlimit){ .rlim_cur = 64, .rlim_max = was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	struct pg_loop *l = pg_loop_new(NULL);
	pg_loop_many_files(l, true);
	assert_true(soft_limit() == was.rlim_max || soft_limit() == 65536);
	pg_loop_many_files(l, false);
	assert_int_equal(soft_limit(), 64);
	pg_loop_many_files(l, true);
	assert_true(soft_limit() > 64);
	pg_loop_free(l);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timer_ends_the_wait_at_once),
		cmocka_unit_test(the_deadline_ends_it_otherwise),
		cmocka_unit_test(short_waits_that_are_one_are_told_of),
		cmocka_unit_test(what_is_to_be_done_soon_does_not_wait_for_an_event),
		cmocka_unit_test(a_job_ends_with_what_it_was_run_beside),
		cmocka_unit_test(a_job_has_waits_of_its_own_and_may_come_again),
		cmocka_unit_test(many_files_are_had_and_given_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
