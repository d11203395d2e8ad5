#include <stdio.h>

#include "proto/base/mem.h"
#include "proto/mux/mux_impl.h"
#include "proto/mux/test_rig.h"

/* A random walk over everything that two owners can do to two multiplexers, with the bytes between
 * them cut anywhere, and what must hold at every step and at the end. A seed that fails is printed:
 * it alone repeats the walk. */

enum { SEEDS = 150, STEPS = 3000 };

static uint64_t seed_state;

static uint64_t random_below(uint64_t n)
{
	/* xorshift64*, Vigna 2016 */
	seed_state ^= seed_state >> 12;
	seed_state ^= seed_state << 25;
	seed_state ^= seed_state >> 27;
	return (seed_state * UINT64_C(2685821657736338717) >> 16) % n;
}

static bool chance(unsigned percent)
{
	return random_below(100) < percent;
}

/* Some bytes: mostly few, sometimes many. */
static uint64_t some(uint64_t most)
{
	return random_below(random_below(random_below(most) + 1) + 1) + 1;
}

static void check_end(const struct rig_end *e)
{
	const struct pg_mux *m = e->m;
	size_t lent = 0, n = 0;
	for (struct pg_turn *t = pg_sched_first(&m->all); t; t = pg_sched_next(&m->all, t)) {
		const struct pg_stream *s = PG_STREAM_OF(t, in_all);
		assert_true(s->in.granted + s->in.held <= s->in.size);
		assert_true(s->in.size - PG_CREDIT_OWN <= m->config.pool->bytes / PG_POOL_SHARE);
		lent += s->in.size - PG_CREDIT_OWN;
		n++;
		if (s->is_readable && pg_stream_sends(s) && pg_allowance_usable(&s->out) > 0)
			assert_true(pg_turn_waits(&s->in_ready));
		else
			assert_false(pg_turn_waits(&s->in_ready));
	}
	assert_int_equal(lent, m->config.pool->lent);
	assert_true(lent <= m->config.pool->bytes);
	assert_int_equal(n, m->table.n);
	/* What can be pulled is known to the owner. */
	bool idle = m->queue.len == 0 && m->pongs_n == 0 && !m->is_ping_due && m->urgent.n == 0 &&
		    m->ready.n == 0;
	assert_true(m->is_awake || idle);
}

/* Nothing is under way: both ends agree about the credit of every stream. */
static void check_pair(const struct rig *r)
{
	for (size_t i = 0; i < r->laptop.apps_n; i++) {
		const struct app *a = &r->laptop.apps[i];
		const struct app *b = a->s ? rig_other(a) : NULL;
		if (!a->s)
			continue;
		if (!b || !b->s) { /* over there: here, bytes may wait to be consumed */
			assert_true(a->s->state == PG_ST_ENDED && a->s->in.held > 0);
			continue;
		}
		if (pg_stream_sends(a->s))
			assert_int_equal(a->s->out.left, b->s->in.granted);
		if (pg_stream_sends(b->s))
			assert_int_equal(b->s->out.left, a->s->in.granted);
	}
}

static void use_app(struct app *a)
{
	uint64_t held = a->arrived - a->consumed;
	if (!a->s || a->gone)
		return;
	switch (random_below(12)) {
	case 0:
		if (chance(10))
			rig_reset(a, (enum pg_reset)(1 + random_below(PG_RESET_COUNT - 1)));
		break;
	case 1:
		if (!a->s->is_ours && !a->s->is_accepted)
			pg_stream_accept(a->s);
		break;
	case 2:
		if (chance(10) && !a->finishes)
			a->fails = -ECONNRESET;
		break;
	case 3:
		rig_send(a, 0, chance(30));
		break;
	case 4:
		a->eats = chance(70);
		break;
	case 5:
	case 6:
	case 7:
		if (held > 0)
			rig_consume(a, chance(50) ? held : 1 + random_below(held));
		break;
	default:
		if (!a->finishes && !a->fails && a->to_send < 4 << 20)
			rig_send(a, some(300000), chance(10));
		break;
	}
}

static void step(struct rig *r)
{
	struct rig_end *e = chance(50) ? &r->laptop : &r->agent;
	switch (random_below(16)) {
	case 0:
		e->eats = chance(60);
		e->accepts = chance(60);
		e->refuse = chance(5) ? PG_RESET_UNKNOWN : PG_RESET_ILLEGAL;
		rig_open(e);
		break;
	case 1:
		pg_mux_control(e->m, (const uint8_t *)"control", 1 + random_below(7));
		break;
	case 2:
		rig_tick(r, chance(5) ? 3000000 : some(100000));
		break;
	case 3:
	case 4:
	case 5:
		if (e->wire_n < RIG_WIRE / 4)
			rig_pull(e, 1 + (int)random_below(8));
		break;
	case 6:
	case 7:
	case 8:
	case 9:
		assert_int_equal(rig_deliver(e, chance(60) ? SIZE_MAX : some(100000)), 0);
		break;
	default:
		if (e->apps_n > 0)
			use_app(&e->apps[random_below(e->apps_n)]);
		break;
	}
	check_end(&r->laptop);
	check_end(&r->agent);
}

/* Everyone accepts, eats, and comes to an end: every stream must. */
static void wind_up(struct rig *r)
{
	r->laptop.eats = r->agent.eats = true;
	r->laptop.accepts = r->agent.accepts = true;
	for (int pass = 0; pass < 2; pass++) { /* the second: streams whose OPEN was under way */
		rig_settle(r);
		check_pair(r);
		for (int i = 0; i < 2; i++) {
			struct rig_end *e = i ? &r->laptop : &r->agent;
			for (size_t k = 0; k < e->apps_n; k++) {
				struct app *a = &e->apps[k];
				if (a->s && !a->s->is_ours && !a->s->is_accepted)
					pg_stream_accept(a->s);
				a->eats = true;
				rig_consume(a, a->gone ? 0 : a->arrived - a->consumed);
				if (a->s)
					rig_send(a, 0, !a->fails);
			}
		}
	}
	rig_settle(r);
}

static void check_over(const struct rig_end *e)
{
	for (size_t i = 0; i < e->apps_n; i++) {
		const struct app *a = &e->apps[i];
		assert_int_equal(a->gone, 1);
		if (a->reason == PG_RESET_ILLEGAL)
			assert_int_equal(a->sent, a->to_send);
	}
	assert_int_equal(pg_mux_streams(e->m), 0);
	assert_int_equal(e->m->zombies, 0);
	assert_int_equal(e->m->config.pool->lent, 0);
	assert_int_equal(e->m->queue.len, 0);
}

static void keeps_its_invariants(void **state)
{
	(void)state;
	const char *only = getenv("SEED");
	uint64_t first = 1, last = SEEDS;
	if (only && pg_parse_u64(only, 1, UINT64_MAX - 1, &first) == 0)
		last = first;
	uint64_t bytes = 0, opened = 0;
	for (uint64_t seed = first; seed <= last; seed++) {
		seed_state = seed * UINT64_C(0x9e3779b97f4a7c15);
		if (only)
			print_message("seed %llu\n", (unsigned long long)seed);
		struct rig *r = rig_new(20 + random_below(60));
		for (int i = 0; i < STEPS; i++)
			step(r);
		wind_up(r);
		check_over(&r->laptop);
		check_over(&r->agent);
		bytes += pg_mux_bytes_in(r->laptop.m) + pg_mux_bytes_in(r->agent.m);
		opened += r->laptop.m->next_id / 2 + r->agent.m->next_id / 2;
		rig_free(r);
	}
	print_message("  %llu streams, %llu MiB\n", (unsigned long long)opened,
		      (unsigned long long)bytes >> 20);
}

/* One run with something of everything that allocates; each step may fail for want of memory. */
static void scenario(void)
{
	static uint8_t control[3000] = "control";
	struct rig *r = rig_new(12);
	int rc = r->laptop.m && r->agent.m ? 0 : -ENOMEM;
	for (int round = 0; rc == 0 && round < 40; round++) {
		struct rig_end *e = round % 2 ? &r->laptop : &r->agent;
		struct app *a = rig_open(e);
		if (a)
			rig_send(a, 40000, true);
		pg_mux_control(e->m, control, sizeof(control));
		rig_pull(&r->laptop, 2);
		rig_pull(&r->agent, 2);
		rc = rig_deliver(&r->laptop, SIZE_MAX);
		if (rc == 0)
			rc = rig_deliver(&r->agent, SIZE_MAX);
		if (a && a->s && round % 3 == 0)
			rig_reset(a, PG_RESET_GOING);
	}
	assert_true(rc == 0 || rc == -ENOMEM);
	rig_free(r);
}

static void survives_each_failed_allocation(void **state)
{
	(void)state;
	size_t n = 0;
	do {
		pg_mem_fail_after(n++);
		scenario();
	} while (pg_mem_failed());
	pg_mem_fail_after(SIZE_MAX);
	print_message("  %zu allocations\n", n - 1);
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_its_invariants),
		cmocka_unit_test(survives_each_failed_allocation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
