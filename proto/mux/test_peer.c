#include "proto/mux/mux_impl.h"
#include "proto/mux/test_rig.h"

/* What a peer may not do, and what it may do late. The laptop is under test: its streams 1 and 3
 * are open, 3 was reset by us, and the agent's 2 is open. Every row is fed whole and byte by byte.
 */

struct lit { /* a frame */
	enum pg_frame_type type;
	uint32_t stream;
	const char *payload;
	uint16_t n;    /* bytes of payload, ... */
	uint16_t most; /* ... of which so many are in `payload` and the rest zeros */
};
#define P(text)  text, sizeof(text) - 1, sizeof(text) - 1
#define ZEROS(n) NULL, n, 0
#define EMPTY    NULL, 0, 0

struct peer_case {
	const char *name;
	struct lit frames[5];
	int want;
	const char *fault; /* NULL: none */
};

static struct peer_case cases[] = {
	{ "data within the credit", { { PG_F_DATA, 2, P("hello") } }, 0, NULL },
	{ "all of the credit", { { PG_F_DATA, 1, ZEROS(PG_CREDIT_OWN) } }, 0, NULL },
	{ "a byte more in one frame",
	  { { PG_F_DATA, 1, ZEROS(PG_CREDIT_OWN + 1) } },
	  -EPROTO,
	  "DATA on stream 1: more than was granted" },
	{ "a byte more in a second",
	  { { PG_F_DATA, 1, ZEROS(PG_CREDIT_OWN) }, { PG_F_DATA, 1, P("x") } },
	  -EPROTO,
	  "DATA on stream 1: more than was granted" },
	{ "data after EOF",
	  { { PG_F_EOF, 2, EMPTY }, { PG_F_DATA, 2, P("x") } },
	  -EPROTO,
	  "DATA on stream 2: after EOF" },
	{ "EOF after EOF",
	  { { PG_F_EOF, 2, EMPTY }, { PG_F_EOF, 2, EMPTY } },
	  -EPROTO,
	  "EOF on stream 2: after EOF" },
	{ "credit after EOF is for our half",
	  { { PG_F_EOF, 2, EMPTY }, { PG_F_CREDIT, 2, P("\0\0\1\0") } },
	  0,
	  NULL },
	{ "reset after EOF", { { PG_F_EOF, 2, EMPTY }, { PG_F_RESET, 2, P("\1") } }, 0, NULL },
	{ "return after EOF",
	  { { PG_F_EOF, 2, EMPTY }, { PG_F_RETURN, 2, P("\0\0\0\1") } },
	  -EPROTO,
	  "RETURN on stream 2: after EOF" },
	{ "data on an id never opened",
	  { { PG_F_DATA, 4, P("x") } },
	  -EPROTO,
	  "DATA on stream 4: it was never opened" },
	{ "data on an id of ours never opened",
	  { { PG_F_DATA, 5, P("x") } },
	  -EPROTO,
	  "DATA on stream 5: it was never opened" },
	{ "EOF on an id never opened",
	  { { PG_F_EOF, 5, EMPTY } },
	  -EPROTO,
	  "EOF on stream 5: it was never opened" },
	{ "credit on an id never opened",
	  { { PG_F_CREDIT, 5, P("\0\0\0\1") } },
	  -EPROTO,
	  "CREDIT on stream 5: it was never opened" },
	{ "return on an id never opened",
	  { { PG_F_RETURN, 4, P("\0\0\0\1") } },
	  -EPROTO,
	  "RETURN on stream 4: it was never opened" },
	{ "reset on an id never opened",
	  { { PG_F_RESET, 4, P("\1") } },
	  -EPROTO,
	  "RESET on stream 4: it was never opened" },
	{ "accepted on an id never opened",
	  { { PG_F_ACCEPTED, 5, EMPTY } },
	  -EPROTO,
	  "ACCEPTED on stream 5: it was never opened" },
	{ "late frames of a stream that we reset",
	  { { PG_F_DATA, 3, ZEROS(PG_FRAME_MAX) },
	    { PG_F_CREDIT, 3, P("\0\0\0\1") },
	    { PG_F_ACCEPTED, 3, EMPTY },
	    { PG_F_EOF, 3, EMPTY },
	    { PG_F_RESET, 3, P("\1") } },
	  0,
	  NULL },
	{ "late frames of a stream that it reset",
	  { { PG_F_RESET, 2, P("\1") },
	    { PG_F_DATA, 2, P("x") },
	    { PG_F_EOF, 2, EMPTY },
	    { PG_F_RETURN, 2, P("\0\0\0\1") },
	    { PG_F_RESET, 2, P("\1") } },
	  0,
	  NULL },
	{ "an id skipped is gone, too",
	  { { PG_F_OPEN, 8, P("o") }, { PG_F_DATA, 6, P("x") } },
	  0,
	  NULL },
	{ "OPEN of an odd id",
	  { { PG_F_OPEN, 5, P("o") } },
	  -EPROTO,
	  "OPEN on stream 5: the id is not its sender's to choose" },
	{ "OPEN of an id in use",
	  { { PG_F_OPEN, 2, P("o") } },
	  -EPROTO,
	  "OPEN on stream 2: ids must grow" },
	{ "OPEN of a lower id",
	  { { PG_F_OPEN, 8, P("o") }, { PG_F_OPEN, 6, P("o") } },
	  -EPROTO,
	  "OPEN on stream 6: ids must grow" },
	{ "ACCEPTED by its opener",
	  { { PG_F_ACCEPTED, 2, EMPTY } },
	  -EPROTO,
	  "ACCEPTED on stream 2: its sender opened it" },
	{ "ACCEPTED twice",
	  { { PG_F_ACCEPTED, 1, EMPTY }, { PG_F_ACCEPTED, 1, EMPTY } },
	  -EPROTO,
	  "ACCEPTED on stream 1: for the second time" },
	{ "no credit",
	  { { PG_F_CREDIT, 1, ZEROS(4) } },
	  -EPROTO,
	  "CREDIT on stream 1: no legal amount" },
	{ "credit over the cap",
	  { { PG_F_CREDIT, 1, P("\1\0\0\1") } },
	  -EPROTO,
	  "CREDIT on stream 1: no legal amount" },
	{ "credit whose sum is over the cap",
	  { { PG_F_CREDIT, 1, P("\0\xff\xc0\0") }, { PG_F_CREDIT, 1, P("\0\0\0\1") } },
	  -EPROTO,
	  "CREDIT on stream 1: the sum is too large" },
	{ "some of the credit back", { { PG_F_RETURN, 1, P("\0\0\x40\0") } }, 0, NULL },
	{ "more back than was granted",
	  { { PG_F_RETURN, 1, P("\0\0\x40\1") } },
	  -EPROTO,
	  "RETURN on stream 1: more than was granted" },
	{ "nothing back",
	  { { PG_F_RETURN, 1, ZEROS(4) } },
	  -EPROTO,
	  "RETURN on stream 1: no legal amount" },
	{ "spent after it was given back",
	  { { PG_F_RETURN, 1, P("\0\0\x40\0") }, { PG_F_DATA, 1, P("x") } },
	  -EPROTO,
	  "DATA on stream 1: more than was granted" },
	{ "reset for reason 0",
	  { { PG_F_RESET, 1, ZEROS(1) } },
	  -EPROTO,
	  "RESET on stream 1: no legal reason" },
	{ "reset for an unknown reason",
	  { { PG_F_RESET, 1, P("\x63") } },
	  -EPROTO,
	  "RESET on stream 1: no legal reason" },
	{ "a PONG for no PING",
	  { { PG_F_PONG, 0, P("12345678") } },
	  -EPROTO,
	  "PONG without its PING" },
	{ "a control message", { { PG_F_CONTROL, 0, P("c") } }, 0, NULL },
	{ "the largest one", { { PG_F_CONTROL, 0, "c", PG_FRAME_MAX, 1 } }, 0, NULL },
	{ "a type that is none",
	  { { PG_F_ILLEGAL, 1, EMPTY } },
	  -EPROTO,
	  "no legal frame: type 0, flags 0, length 0, stream 1" },
};

/* Feeds one frame, whole or byte by byte. Built by hand: it need not be legal. */
static int feed(struct pg_mux *m, const struct lit *f, bool whole)
{
	static uint8_t bytes[PG_FRAME_HDR + PG_FRAME_MAX];
	size_t n = PG_FRAME_HDR + (size_t)f->n;
	bytes[0] = (uint8_t)f->type;
	bytes[1] = 0;
	pg_put_be16(bytes + 2, f->n);
	pg_put_be32(bytes + 4, f->stream);
	memset(bytes + PG_FRAME_HDR, 0, f->n);
	if (f->payload)
		memcpy(bytes + PG_FRAME_HDR, f->payload, pg_min(f->n, f->most));
	if (whole)
		return pg_mux_feed(m, bytes, n, 0);
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = pg_mux_feed(m, bytes + i, 1, 0);
	return rc;
}

/* An owner that looks at nothing. */
static void nothing(void *user)
{
	(void)user;
}

static void swallow(void *user, const uint8_t *p, size_t n)
{
	struct app *a = user;
	(void)p;
	a->arrived += n;
}

static void count_gone(void *user, enum pg_reset reason)
{
	struct app *a = user;
	a->reason = reason;
	a->gone++;
}

static const struct pg_mux_ops quiet_ops = { rig_opened, nothing,  swallow,     nothing,
					     count_gone, rig_read, rig_control, rig_wake };

static struct rig *prepare(void)
{
	struct rig *r = rig_new(16);
	r->laptop.accepts = false;
	r->laptop.m->config.ops = &quiet_ops;
	rig_open(&r->laptop);
	rig_reset(rig_open(&r->laptop), PG_RESET_GOING);
	rig_open(&r->agent);
	rig_pull(&r->laptop, 8);
	rig_pull(&r->agent, 8);
	assert_int_equal(rig_deliver(&r->agent, SIZE_MAX), 0);
	return r;
}

static void is_judged(void **state)
{
	const struct peer_case *c = *state;
	for (int whole = 0; whole < 2; whole++) {
		struct rig *r = prepare();
		int rc = 0;
		for (size_t i = 0; rc == 0 && i < PG_LEN(c->frames); i++)
			if (c->frames[i].type || c->frames[i].stream)
				rc = feed(r->laptop.m, &c->frames[i], whole);
		assert_int_equal(rc, c->want);
		assert_string_equal(pg_mux_fault(r->laptop.m), c->fault ? c->fault : "");
		if (rc < 0) /* and it stays so */
			assert_int_equal(
				feed(r->laptop.m, &(struct lit){ PG_F_EOF, 1, EMPTY }, true), rc);
		rig_free(r);
	}
}

static void too_much_before_accepted(void **state)
{
	(void)state;
	struct rig *r = prepare();
	struct app *b = rig_other(&r->agent.apps[0]);
	struct lit data = { PG_F_DATA, 2, ZEROS(4096) };
	for (size_t sent = 0; sent < PG_UNACCEPTED_MAX; sent += data.n) {
		assert_int_equal(feed(r->laptop.m, &data, true), 0);
		pg_stream_consumed(b->s, data.n);
		rig_pull(&r->laptop, 1);
	}
	assert_int_equal(feed(r->laptop.m, &data, true), -EPROTO);
	assert_string_equal(pg_mux_fault(r->laptop.m),
			    "DATA on stream 2: too much before ACCEPTED");
	rig_free(r);
}

static void a_flood_of_pings(void **state)
{
	(void)state;
	struct rig *r = prepare();
	struct lit ping = { PG_F_PING, 0, P("12345678") };
	for (int i = 0; i < PG_PONG_QUEUE; i++)
		assert_int_equal(feed(r->laptop.m, &ping, true), 0);
	r->laptop.wire_n = 0;
	assert_int_equal(rig_pull(&r->laptop, 1), PG_PONG_QUEUE * 16);
	assert_memory_equal(r->laptop.wire + r->laptop.wire_at,
			    "\x08\0\0\x08\0\0\0\0"
			    "12345678",
			    16);
	for (int i = 0; i < PG_PONG_QUEUE; i++)
		assert_int_equal(feed(r->laptop.m, &ping, true), 0);
	assert_int_equal(feed(r->laptop.m, &ping, true), -EPROTO);
	assert_string_equal(pg_mux_fault(r->laptop.m), "more than 16 PINGs at once");
	rig_free(r);
}

static void a_flood_of_opens(void **state)
{
	(void)state;
	struct rig *r = prepare();
	struct lit open = { PG_F_OPEN, 4, P("o") };
	int rc = 0;
	size_t n = 0;
	for (; rc == 0; open.stream += 2, n++)
		rc = feed(r->laptop.m, &open, true);
	assert_int_equal(rc, -EPROTO);
	assert_int_equal(pg_mux_streams(r->laptop.m), 16);
	assert_true(r->laptop.m->queue.len <= r->laptop.m->queue.cap);
	assert_true(n > 100000); /* a peer that is merely busy never gets there */
	rig_free(r);
}

/* A stream that is reset while its own DATA frame is arriving. */
static void reset_in_the_middle_of_a_frame(void **state)
{
	(void)state;
	struct rig *r = prepare();
	struct app *a = &r->laptop.apps[0];
	uint8_t half[PG_FRAME_HDR + 50] = { PG_F_DATA, 0, 0, 100, 0, 0, 0, 1 };
	assert_int_equal(pg_mux_feed(r->laptop.m, half, sizeof(half), 0), 0);
	assert_int_equal(a->arrived, 50);
	rig_reset(a, PG_RESET_GOING);
	assert_int_equal(pg_mux_feed(r->laptop.m, half, 50, 0), 0);
	assert_int_equal(a->arrived, 50);
	assert_int_equal(feed(r->laptop.m, &(struct lit){ PG_F_DATA, 2, P("x") }, true), 0);
	rig_free(r);
}

/* Owners that end their stream from inside each callback. */
static void suicide(void *user)
{
	rig_reset(user, PG_RESET_GOING);
}

static void suicide_data(void *user, const uint8_t *p, size_t n)
{
	(void)p;
	(void)n;
	suicide(user);
}

static ssize_t suicide_read(void *user, const struct iovec *iov, int count)
{
	(void)iov;
	(void)count;
	suicide(user);
	return 5;
}

static void streams_may_end_in_any_callback(void **state)
{
	(void)state;
	static const struct pg_mux_ops ops = { rig_opened, suicide,      suicide_data, suicide,
					       count_gone, suicide_read, rig_control,  rig_wake };
	const struct lit frames[] = { { PG_F_ACCEPTED, 1, EMPTY },
				      { PG_F_DATA, 1, P("xy") },
				      { PG_F_EOF, 1, EMPTY } };
	for (size_t i = 0; i <= PG_LEN(frames); i++) {
		struct rig *r = prepare();
		r->laptop.m->config.ops = &ops;
		if (i < PG_LEN(frames))
			assert_int_equal(feed(r->laptop.m, &frames[i], i % 2), 0);
		else
			rig_send(&r->laptop.apps[0], 100, true);
		r->laptop.wire_n = 0;
		assert_int_equal(rig_pull(&r->laptop, 4), 9); /* RESET */
		assert_int_equal(r->laptop.apps[0].gone, 1);
		rig_free(r);
	}
}

static enum pg_reset suicide_opened(void *ctx, struct pg_stream *s, const uint8_t *info, size_t n,
				    void **user_out)
{
	(void)info;
	(void)n;
	*user_out = ctx;
	pg_stream_reset(s, PG_RESET_REFUSED);
	return PG_RESET_UNKNOWN;
}

static void an_open_is_refused_once(void **state)
{
	(void)state;
	struct rig *r = prepare();
	struct pg_mux_ops ops = quiet_ops;
	ops.opened = suicide_opened;
	r->laptop.m->config.ops = &ops;
	assert_int_equal(feed(r->laptop.m, &(struct lit){ PG_F_OPEN, 4, P("o") }, true), 0);
	r->laptop.wire_n = 0;
	assert_int_equal(rig_pull(&r->laptop, 1), 9);
	assert_int_equal(r->laptop.m->zombies, 0);
	rig_free(r);
}

static void is_quick_at_telling_the_round_trip(void **state)
{
	(void)state;
	struct rig *r = rig_new(4);
	rig_tick(r, 1);
	assert_int_equal(pg_mux_rtt_us(r->laptop.m), 0);
	rig_pull(&r->laptop, 1);
	r->now_us += 20000;
	rig_deliver(&r->laptop, SIZE_MAX);
	rig_pull(&r->agent, 1);
	r->now_us += 20000;
	rig_deliver(&r->agent, SIZE_MAX);
	assert_int_equal(pg_mux_rtt_us(r->laptop.m), 40000);
	assert_int_equal(pg_mux_rtt_min_us(r->laptop.m), 40000);
	assert_int_equal(pg_mux_silence_us(r->laptop.m, r->now_us + 7), 7);
	/* Idle: three seconds to the next; one unanswered: no further. */
	assert_int_equal(pg_mux_tick(r->laptop.m, r->now_us), 1 + PG_PING_IDLE_MS * 1000);
	rig_tick(r, PG_PING_IDLE_MS * 1000);
	assert_int_equal(rig_pull(&r->laptop, 1), 16 + 16); /* and the PONG for the agent's */
	rig_tick(r, PG_PING_IDLE_MS * 1000);
	assert_int_equal(rig_pull(&r->laptop, 1), 0);
	rig_free(r);
}

int main(void)
{
	enum { MORE = 7 };
	struct CMUnitTest tests[PG_LEN(cases) + MORE] = { 0 };
	size_t n = 0;
	for (; n < PG_LEN(cases); n++)
		tests[n] = (struct CMUnitTest){ cases[n].name, is_judged, NULL, NULL, &cases[n] };
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(too_much_before_accepted);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(a_flood_of_pings);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(a_flood_of_opens);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(reset_in_the_middle_of_a_frame);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(streams_may_end_in_any_callback);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(an_open_is_refused_once);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(is_quick_at_telling_the_round_trip);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
