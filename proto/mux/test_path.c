#include <stdio.h>

#include "proto/mux/test_rig.h"

/* A path with a bandwidth, a delay and a queue that swallows everything, as the real one does,
 * under a virtual clock: what is under way must stay near twice the bandwidth-delay product,
 * whatever the queue would take, and yet fill the path. */

enum { STEP_US = 200, PIECE = 1448, PIECES = 16384 };

struct way { /* one direction */
	struct rig_end *from;
	struct {
		uint64_t at_us;
		size_t n;
	} piece[PIECES]; /* what is under way, a ring */
	size_t head, count;
	double free_us;   /* when the link has sent all that it was given */
	uint64_t last_us; /* when the latest piece arrives: order is kept */
};

struct path {
	struct rig *rig;
	struct way up, down;
	double bytes_per_us;
	uint64_t delay_us;    /* each way */
	unsigned lose_one_in; /* pieces; what is lost comes a round trip later, and all behind it
				 with it */
	unsigned sent;
	size_t most_under_way;
};

static void send_pieces(struct path *p, struct way *w, size_t n)
{
	uint64_t now = p->rig->now_us;
	if (w->free_us < (double)now)
		w->free_us = (double)now;
	while (n > 0) {
		size_t part = pg_min(n, PIECE);
		assert_true(w->count < PIECES);
		w->free_us += (double)part / p->bytes_per_us;
		size_t i = (w->head + w->count++) % PIECES;
		uint64_t at_us = (uint64_t)w->free_us + p->delay_us;
		if (p->lose_one_in > 0 && ++p->sent % p->lose_one_in == 0)
			at_us += 2 * p->delay_us;
		w->piece[i].at_us = pg_max(at_us, w->last_us);
		w->last_us = w->piece[i].at_us;
		w->piece[i].n = part;
		n -= part;
	}
}

static void move(struct path *p, struct way *w)
{
	size_t n = 0;
	while (w->count > 0 && w->piece[w->head].at_us <= p->rig->now_us) {
		n += w->piece[w->head].n;
		w->head = (w->head + 1) % PIECES;
		w->count--;
	}
	if (n > 0)
		assert_int_equal(rig_deliver(w->from, n), 0);
	while ((n = rig_pull(w->from, 8)) > 0)
		send_pieces(p, w, n);
}

static void run(struct path *p, uint64_t us)
{
	uint64_t end = p->rig->now_us + us;
	p->most_under_way = 0;
	while (p->rig->now_us < end) {
		rig_tick(p->rig, STEP_US);
		move(p, &p->up);
		move(p, &p->down);
		p->most_under_way = pg_max(p->most_under_way, p->up.from->wire_n);
		p->most_under_way = pg_max(p->most_under_way, p->down.from->wire_n);
	}
}

static struct path *path_new(double mb_per_s, uint64_t round_us)
{
	struct path *p = calloc(1, sizeof(*p));
	assert_non_null(p);
	p->rig = rig_new(64);
	p->up.from = &p->rig->agent;
	p->down.from = &p->rig->laptop;
	p->bytes_per_us = mb_per_s;
	p->delay_us = round_us / 2;
	return p;
}

static void path_free(struct path *p)
{
	rig_free(p->rig);
	free(p);
}

/* Bytes that arrived on all streams at that end. */
static uint64_t arrived(const struct rig_end *e)
{
	uint64_t n = 0;
	for (size_t i = 0; i < e->apps_n; i++)
		n += e->apps[i].arrived;
	return n;
}

struct path_case {
	const char *name;
	double mb_per_s;
	uint64_t round_us;
	int streams;
	bool both_ways;
	/* Both ways at once, credit waits behind the other way's bytes: what one way leaves idle
	 * then is the price of keeping the queue short. */
	double fill; /* least share of the bandwidth, once it is under way */
	double most; /* bytes under way at most, in bandwidth-delay products */
	unsigned lose_one_in;
};

static struct path_case cases[] = {
	{ "100 Mbit/s, 50 ms", 12.5, 50000, 1, false, 0.95, 2.5, 0 },
	{ "100 Mbit/s, 50 ms, 8 streams", 12.5, 50000, 8, false, 0.95, 3, 0 },
	{ "100 Mbit/s, 50 ms, both ways", 12.5, 50000, 2, true, 0.7, 3, 0 },
	{ "8 Mbit/s, 50 ms", 1, 50000, 1, false, 0.95, 2.5, 0 },
	{ "8 Mbit/s, 200 ms", 1, 200000, 1, false, 0.95, 2.5, 0 },
	{ "1 Gbit/s, 10 ms", 125, 10000, 1, false, 0.95, 2.5, 0 },
	{ "100 Mbit/s, 50 ms, 1 % loss", 12.5, 50000, 1, false, 0.9, 4.5, 100 },
	{ "100 Mbit/s, 50 ms, 1 % loss, 8 streams", 12.5, 50000, 8, false, 0.9, 4.5, 100 },
	{ "0.8 Mbit/s, 50 ms: the first credit alone is more", 0.1, 50000, 1, false, 0.95, 10, 0 },
};

static void stays_near_twice_the_product(void **state)
{
	const struct path_case *c = *state;
	struct path *p = path_new(c->mb_per_s, c->round_us);
	p->lose_one_in = c->lose_one_in;
	for (int i = 0; i < c->streams; i++) {
		struct app *a = rig_open(i % 2 && c->both_ways ? &p->rig->laptop : &p->rig->agent);
		rig_send(a, UINT64_C(1) << 50, false);
	}
	double bdp = c->mb_per_s * (double)c->round_us;
	uint64_t begin = p->rig->now_us;
	int directions = c->both_ways ? 2 : 1;
	for (double rate = 0; rate < 0.9 * c->fill * c->mb_per_s * directions;) {
		uint64_t before = arrived(&p->rig->laptop) + arrived(&p->rig->agent);
		run(p, c->round_us);
		rate = (double)(arrived(&p->rig->laptop) + arrived(&p->rig->agent) - before) /
		       (double)c->round_us;
		assert_true(p->rig->now_us - begin < 5000000);
	}
	double fill_ms = (double)(p->rig->now_us - begin) / 1000;
	run(p, 1000000);
	uint64_t before = arrived(&p->rig->laptop) + arrived(&p->rig->agent);
	run(p, 3000000);
	double rate = (double)(arrived(&p->rig->laptop) + arrived(&p->rig->agent) - before) / 3e6 /
		      directions;
	double most = (double)p->most_under_way / bdp;
	print_message("  %s: full after %.0f ms (%.1f round trips), %.1f %% used, %zu KiB = %.2f "
		      "products under way, ping %.0f ms\n",
		      c->name, fill_ms, fill_ms * 1000 / (double)c->round_us,
		      100 * rate / c->mb_per_s, p->most_under_way >> 10, most,
		      (double)pg_mux_rtt_us(p->rig->agent.m) / 1000);
	assert_true(rate >= c->fill * c->mb_per_s);
	assert_true(most <= c->most);
	path_free(p);
}

/* A minute and a half of bulk: the round trips measured meanwhile hold our own queue, and must not
 * make it grow. */
static void does_not_grow_with_time(void **state)
{
	(void)state;
	struct path *p = path_new(1, 50000);
	rig_send(rig_open(&p->rig->agent), UINT64_C(1) << 50, false);
	run(p, 5000000);
	size_t early = p->most_under_way;
	run(p, 85000000);
	print_message("  under way: %zu KiB at first, %zu KiB after 90 s\n", early >> 10,
		      p->most_under_way >> 10);
	assert_true(p->most_under_way < 4 * 50000);
	path_free(p);
}

/* The path becomes longer than the credit was made for: slow for a while, not for good. */
static void learns_a_longer_path(void **state)
{
	(void)state;
	struct path *p = path_new(12.5, 20000);
	rig_send(rig_open(&p->rig->agent), UINT64_C(1) << 50, false);
	run(p, 3000000);
	p->delay_us = 60000;
	run(p, 60000000);
	uint64_t before = arrived(&p->rig->laptop);
	run(p, 3000000);
	double rate = (double)(arrived(&p->rig->laptop) - before) / 3e6;
	print_message("  a minute after 20 ms became 120 ms: %.1f of 12.5 MB/s\n", rate);
	assert_true(rate > 0.9 * 12.5);
	path_free(p);
}

/* A small request beside a bulk transfer on a slow path. */
static void stays_lively(void **state)
{
	(void)state;
	struct path *p = path_new(1, 50000);
	rig_send(rig_open(&p->rig->agent), UINT64_C(1) << 50, false);
	run(p, 5000000);
	struct app *a = rig_open(&p->rig->laptop);
	rig_send(a, 100, false);
	uint64_t begin = p->rig->now_us;
	while (!rig_other(a) || rig_other(a)->arrived < 100)
		run(p, STEP_US);
	rig_send(rig_other(a), 100, false);
	while (a->arrived < 100)
		run(p, STEP_US);
	double ms = (double)(p->rig->now_us - begin) / 1000;
	print_message("  request and answer beside bulk at 1 MB/s: %.0f ms\n", ms);
	assert_true(ms < 200);
	path_free(p);
}

/* From the opening of a stream to 4 MiB of it. */
static double transfer_ms(struct path *p)
{
	uint64_t begin = p->rig->now_us;
	struct app *a = rig_open(&p->rig->agent);
	rig_send(a, 4 << 20, true);
	while (!rig_other(a) || rig_other(a)->arrived < 4 << 20)
		run(p, STEP_US);
	return (double)(p->rig->now_us - begin) / 1000;
}

/* What a lane has carried once need not be found out again by each stream. */
static void knows_the_path_the_next_time(void **state)
{
	(void)state;
	struct path *p = path_new(12.5, 50000);
	p->lose_one_in = 100;
	double first = transfer_ms(p);
	run(p, 20000000);
	double second = transfer_ms(p), ideal = (4 << 20) / 12500.0 + 50;
	print_message("  4 MiB: %.0f ms at first, %.0f ms 20 s later, %.0f ms at line rate\n",
		      first, second, ideal);
	assert_true(second < ideal + 250); /* five round trips more; eight at first */
	path_free(p);
}

/* A stream that was busy and is idle, with the connection kept, gives its credit back. */
static void idle_streams_hold_no_pool(void **state)
{
	(void)state;
	struct path *p = path_new(12.5, 50000);
	struct app *busy[16];
	for (int i = 0; i < 16; i++) {
		busy[i] = rig_open(&p->rig->agent);
		rig_send(busy[i], 4 << 20, false);
		run(p, 1000000);
		assert_int_equal(rig_other(busy[i])->arrived, 4 << 20);
	}
	run(p, 6000000);
	struct app *a = rig_open(&p->rig->agent);
	rig_send(a, UINT64_C(1) << 50, false);
	run(p, 2000000);
	uint64_t before = rig_other(a)->arrived;
	run(p, 1000000);
	double rate = (double)(rig_other(a)->arrived - before) / 1e6;
	print_message("  after 16 idle ones that were busy: %.1f of 12.5 MB/s\n", rate);
	assert_true(rate > 0.95 * 12.5);
	path_free(p);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 5] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, stays_near_twice_the_product, NULL,
						NULL, &cases[i] };
	size_t n = PG_LEN(cases);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(does_not_grow_with_time);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(learns_a_longer_path);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(stays_lively);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(knows_the_path_the_next_time);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(idle_streams_hold_no_pool);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
