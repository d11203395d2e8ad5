#include "injector/portfwd.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "injector/portfwd_impl.h"
#include "proto/base/auto.h"

/* The pure parts of a lane: batches out, frames in, refusals. The connection and the rest of its
 * life are shown on a real cluster. */

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

enum { PORT = 25001 };

struct fixture {
	struct pg_loop *loop;
	struct pg_portfwd *lane;
	const size_t *sizes; /* of the slots that pull() fills */
	struct pg_buf pulled;
};

static struct fixture fixture;

static void start(struct fixture *f, enum pg_transport transport)
{
	struct pg_err err;
	*f = (struct fixture){ .pulled = PG_BUF_INIT(1 << 20) };
	f->loop = pg_loop_new(&err);
	f->lane = pg_portfwd_new(f->loop, NULL, transport, PORT);
	assert_non_null(f->lane);
}

static void stop(struct fixture *f)
{
	pg_lane_close(&f->lane->lane);
	pg_loop_free(f->loop);
	pg_buf_fini(&f->pulled);
}

/* --- out --- */

static int pull(void *ctx, struct iovec *slots, int count)
{
	struct fixture *f = ctx;
	int used = 0;
	for (; used < count && f->sizes[used] > 0; used++) {
		uint8_t *p = slots[used].iov_base;
		assert_int_equal(slots[used].iov_len, PG_FRAME_SLOT);
		for (size_t i = 0; i < f->sizes[used]; i++)
			p[i] = (uint8_t)(f->pulled.len + i * 7);
		slots[used].iov_len = f->sizes[used];
		assert_int_equal(pg_buf_add(&f->pulled, p, f->sizes[used]), 0);
	}
	return used;
}

static int collect(void *ctx, uint32_t stream, const uint8_t *p, size_t n, bool fin)
{
	assert_int_equal(stream, PG_SPDY_DATA_STREAM);
	assert_false(fin);
	return pg_buf_add(ctx, p, n);
}

static const struct pg_spdy_ops collect_ops = { .data = collect };

/* Undoes the masked WebSocket frames of `in`, in place of a server. */
static void unmask(const struct pg_buf *in, struct pg_buf *out, size_t skip)
{
	for (size_t at = 0; at < in->len;) {
		const uint8_t *head = in->data + at;
		size_t n = head[1] & 0x7f;
		assert_int_equal(head[0], 0x82);
		assert_true(head[1] & 0x80);
		at += n == 126 ? 8 : 6;
		n = n == 126 ? pg_get_be16(head + 2) : n;
		for (size_t i = 0; i < n; i++) {
			uint8_t byte = in->data[at + i] ^ in->data[at - 4 + i % 4];
			if (i >= skip)
				pg_buf_add(out, &byte, 1);
			else
				assert_int_equal(byte, 0); /* the data channel */
		}
		at += n;
	}
}

struct batch_case {
	const char *name;
	size_t sizes[PG_LANE_SLOTS + 1];
	size_t runs; /* most pieces that it may be sent in */
};

#define FULL PG_FRAME_SLOT

static struct batch_case batches[] = {
	{ "nothing", { 0 }, 0 },
	{ "one byte", { 1 }, 1 },
	{ "all full", { FULL, FULL, FULL, FULL, FULL, FULL, FULL, FULL }, 1 },
	{ "full but the last", { FULL, FULL, FULL, 500 }, 1 },
	{ "a tail with a shorter header", { FULL, FULL, FULL, 5 }, 2 },
	{ "control before bulk", { 12, FULL, FULL, FULL }, 1 },
	{ "small ones", { 1, 125, 126, 117, 118, 300, 8, 4096 }, 1 },
	{ "a hole too large to fill", { FULL, 20000, FULL, 20000 }, 2 },
	{ "small ones after a hole", { 20000, 7, 9, FULL }, 2 },
};

static void frames_batch(const struct batch_case *c, enum pg_transport transport)
{
	struct fixture *f = &fixture;
	struct pg_buf wire = PG_BUF_INIT(1 << 20), inner = PG_BUF_INIT(1 << 20),
		      got = PG_BUF_INIT(1 << 20);
	struct pg_spdy_decoder d = { .ops = &collect_ops, .ctx = &got };
	int slots = 0;
	start(f, transport);
	f->sizes = c->sizes;
	while (slots < PG_LANE_SLOTS && c->sizes[slots] > 0)
		slots++;
	pg_portfwd_own(f->lane, (struct pg_lane_events){ .pull = pull }, f);
	assert_int_equal(pg_portfwd_make_batch(f->lane, PG_LANE_SLOTS), slots);
	assert_true(PG_PORTFWD_RUNS - f->lane->run_at <= c->runs);
	for (size_t i = f->lane->run_at; i < PG_PORTFWD_RUNS; i++)
		pg_buf_add(&wire, f->lane->runs[i].p, f->lane->runs[i].n);
	if (transport != PG_TRANSPORT_SPDY)
		unmask(&wire, &inner, transport == PG_TRANSPORT_WEBSOCKET);
	if (transport == PG_TRANSPORT_SPDY)
		assert_int_equal(pg_spdy_feed(&d, wire.data, wire.len), 0);
	else if (transport == PG_TRANSPORT_TUNNEL)
		assert_int_equal(pg_spdy_feed(&d, inner.data, inner.len), 0);
	struct pg_buf *seen = transport == PG_TRANSPORT_WEBSOCKET ? &inner : &got;
	assert_int_equal(seen->len, f->pulled.len);
	if (seen->len > 0)
		assert_memory_equal(seen->data, f->pulled.data, seen->len);
	stop(f);
	pg_buf_fini(&wire);
	pg_buf_fini(&inner);
	pg_buf_fini(&got);
}

static void batch(void **state)
{
	for (int t = PG_TRANSPORT_SPDY; t < PG_TRANSPORT_COUNT; t++)
		frames_batch(*state, (enum pg_transport)t);
}

static void urgent_goes_first_and_is_bounded(void **state)
{
	(void)state;
	static const size_t sizes[] = { 3, 0 };
	struct fixture *f = &fixture;
	start(f, PG_TRANSPORT_SPDY);
	f->sizes = sizes;
	pg_portfwd_own(f->lane, (struct pg_lane_events){ .pull = pull }, f);
	uint8_t ping[PG_SPDY_CONTROL_MAX];
	size_t n = pg_spdy_put_ping(ping, 2);
	for (int i = 0; i < 1000; i++)
		pg_portfwd_put_urgent(f->lane, ping, n, PG_WS_BINARY);
	assert_in_range(f->lane->urgent_len, n, PG_PORTFWD_URGENT);
	assert_int_equal(pg_portfwd_make_batch(f->lane, PG_LANE_SLOTS), 1);
	assert_memory_equal(f->lane->runs[f->lane->run_at].p, ping, n);
	assert_int_equal(f->lane->urgent_len, 0);
	stop(f);
}

/* --- in --- */

struct in_case {
	const char *name;
	enum pg_transport transport;
	const uint8_t *bytes;
	size_t n;
	int want;         /* of pg_portfwd_feed() */
	const char *data; /* payload that arrived */
	bool is_up;
	int verdict; /* when the connection ends after it */
	const char *words;
};

#define REPLIES                                            \
	"\x80\x03\x00\x02\x00\x00\x00\x04\x00\x00\x00\x01" \
	"\x80\x03\x00\x02\x00\x00\x00\x04\x00\x00\x00\x03"
#define HELLO    "\x00\x00\x00\x03\x00\x00\x00\x05hello"
#define DATA_FIN "\x00\x00\x00\x03\x01\x00\x00\x00"
#define ERR_FIN  "\x00\x00\x00\x01\x01\x00\x00\x00"
#define ERR_RST  "\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x05"
#define REFUSED                            \
	"\x00\x00\x00\x01\x00\x00\x00\x13" \
	"connection refused\n"
#define RESET                              \
	"\x00\x00\x00\x01\x00\x00\x00\x3d" \
	"in network namespace \"/run/x\": read: connection reset by peer"
#define PREAMBLES "\x82\x03\x00\xa9\x61\x82\x03\x01\xa9\x61"

static struct in_case ins[] = {
	{ "streams up", PG_TRANSPORT_SPDY, BYTES(REPLIES), 0, "", true, -ECONNRESET, "" },
	{ "one stream is not enough", PG_TRANSPORT_SPDY,
	  BYTES("\x80\x03\x00\x02\x00\x00\x00\x04\x00\x00\x00\x01"), 0, "", false, -ECONNRESET,
	  "" },
	{ "data and an orderly end", PG_TRANSPORT_SPDY, BYTES(REPLIES HELLO DATA_FIN ERR_FIN),
	  -ENODATA, "hello", true, 0, "" },
	{ "the error stream ends first", PG_TRANSPORT_SPDY, BYTES(REPLIES ERR_FIN HELLO DATA_FIN),
	  -ENODATA, "hello", true, 0, "" },
	{ "data ends, then the connection", PG_TRANSPORT_SPDY, BYTES(REPLIES HELLO DATA_FIN), 0,
	  "hello", true, 0, "" },
	{ "a refused port", PG_TRANSPORT_SPDY, BYTES(REPLIES DATA_FIN REFUSED ERR_RST), -ENODATA,
	  "", true, -ECONNREFUSED, "nobody listens on port 25001" },
	{ "a reset of the program", PG_TRANSPORT_SPDY, BYTES(REPLIES RESET ERR_RST DATA_FIN),
	  -ENODATA, "", true, -ECONNRESET, "pod: read: connection reset by peer" },
	{ "a reset data stream", PG_TRANSPORT_SPDY,
	  BYTES(REPLIES "\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x03\x00\x00\x00\x06"),
	  -ECONNRESET, "", true, -ECONNRESET, "" },
	{ "goaway", PG_TRANSPORT_SPDY,
	  BYTES(REPLIES "\x80\x03\x00\x07\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00"),
	  -ECONNRESET, "", true, -ECONNRESET, "" },
	{ "other streams are not ours", PG_TRANSPORT_SPDY,
	  BYTES(REPLIES "\x00\x00\x00\x05\x01\x00\x00\x01x" HELLO), 0, "hello", true, -ECONNRESET,
	  "" },
	{ "no SPDY", PG_TRANSPORT_SPDY, BYTES("\x80\x02\x00\x06\x00\x00\x00\x04"), -EPROTO, "",
	  false, -EPROTO, "no SPDY/3.1" },
	{ "SPDY across messages", PG_TRANSPORT_TUNNEL,
	  BYTES("\x02\x0c\x80\x03\x00\x02\x00\x00\x00\x04\x00\x00\x00\x01"
		"\x80\x05\x80\x03\x00\x02\x00\x89\x00\x82\x14\x00\x00\x04\x00\x00\x00\x03" HELLO),
	  0, "hello", true, -ECONNRESET, "" },
	{ "a closed tunnel", PG_TRANSPORT_TUNNEL, BYTES("\x88\x02\x03\xe8"), -ECONNRESET, "", false,
	  -ECONNRESET, "" },
	{ "channels up", PG_TRANSPORT_WEBSOCKET, BYTES(PREAMBLES), 0, "", true, -ECONNRESET, "" },
	{ "channel data and close", PG_TRANSPORT_WEBSOCKET,
	  BYTES(PREAMBLES "\x82\x04\x00hel\x82\x03\x00lo\x88\x02\x03\xe8"), -ENODATA, "hello", true,
	  0, "" },
	{ "a preamble with data behind it", PG_TRANSPORT_WEBSOCKET,
	  BYTES("\x82\x03\x01\xa9\x61\x82\x05\x00\xa9\x61hi"), 0, "hi", true, -ECONNRESET, "" },
	{ "a fragmented message", PG_TRANSPORT_WEBSOCKET, BYTES(PREAMBLES "\x02\x02\x00h\x80\x01i"),
	  0, "hi", true, -ECONNRESET, "" },
	{ "empty messages and other channels", PG_TRANSPORT_WEBSOCKET,
	  BYTES(PREAMBLES "\x82\x00\x82\x01\x00\x82\x02\x07x\x82\x02\x00y"), 0, "y", true,
	  -ECONNRESET, "" },
	{ "another port", PG_TRANSPORT_WEBSOCKET, BYTES("\x82\x03\x00\xa8\x61"), -EPROTO, "", false,
	  -EPROTO, "no port-forward WebSocket" },
	{ "a refused port by channel", PG_TRANSPORT_WEBSOCKET,
	  BYTES(PREAMBLES "\x82\x13\x01"
			  "connection refused"
			  "\x88\x02\x03\xe8"),
	  -ENODATA, "", true, -ECONNREFUSED, "nobody listens on port 25001" },
};

static void feed(void **state)
{
	const struct in_case *c = *state;
	struct fixture *f = &fixture;
	for (size_t step = 1; step <= c->n; step = step == 1 ? c->n : step + 1) {
		start(f, c->transport);
		int rc = 0;
		for (size_t at = 0; at < c->n && rc == 0; at += step)
			rc = pg_portfwd_feed(f->lane, c->bytes + at, pg_min(step, c->n - at));
		assert_int_equal(rc, c->want);
		assert_string_equal(pg_buf_str(&f->lane->early), c->data);
		assert_int_equal(pg_portfwd_is_up(f->lane), c->is_up);
		pg_portfwd_conclude(f->lane, rc);
		assert_int_equal(f->lane->verdict.code, c->verdict);
		assert_non_null(strstr(f->lane->verdict.what, c->words));
		stop(f);
	}
}

/* --- refusals --- */

struct refusal_case {
	const char *name;
	int status;
	const char *head, *body;
	int code;
	enum pg_whose whose;
	bool is_unauthorized, other_may_help, again_may_help;
	uint64_t retry_after_s;
	const char *words; /* in message or hint */
};

#define JSON(message) "{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"" message "\"}"

static struct refusal_case refusals[] = {
	{ "RBAC", 403, "", JSON("pods \\\"w\\\" is forbidden: User \\\"u\\\" cannot create"),
	  -EACCES, PG_CLUSTER, false, false, false, 0, "cannot create" },
	{ "RBAC, verb create hidden", 403, "", JSON("pods \\\"w\\\" is forbidden: "), -EACCES,
	  PG_CLUSTER, false, false, false, 0, "verb create on pods/portforward" },
	{ "subprotocol unknown", 403, "", "", -EACCES, PG_CLUSTER, false, true, false, 0,
	  "--transport" },
	{ "bad token", 401, "", JSON("Unauthorized"), -EACCES, PG_CLUSTER, true, false, false, 0,
	  "log in" },
	{ "a stripped upgrade", 400, "", JSON("Upgrade request required"), -EINVAL, PG_CLUSTER,
	  false, true, false, 0, "passes no upgrades" },
	{ "unscheduled pod", 400, "", JSON("pod w does not have a host assigned"), -EINVAL,
	  PG_TARGET, false, false, true, 0, "waits for a node" },
	{ "no such pod", 404, "",
	  "{\"kind\":\"Status\",\"message\":\"pods w\",\"details\":{\"name\":\"w\"}}", -ENOENT,
	  PG_TARGET, false, false, false, 0,
	  "port-forward to pod 'w': not found in namespace 'ns'" },
	{ "kubelet behind", 404, "", "pod does not exist", -ENOENT, PG_TARGET, false, false, true,
	  0, "" },
	{ "forbidden by the node", 405, "", "Debug endpoints are disabled.", -EINVAL, PG_CLUSTER,
	  false, false, false, 0, "kubelet forbids" },
	{ "throttled", 429, "Retry-After: 5\r\n", "Too many requests", -EBUSY, PG_CLUSTER, false,
	  false, true, 5, "429" },
	{ "sandbox gone", 500, "", "pod not found (\"w\")", -EREMOTEIO, PG_TARGET, false, false,
	  true, 0, "not running" },
	{ "node unreachable", 500, "", JSON("error dialing backend: dial tcp"), -EREMOTEIO,
	  PG_CLUSTER, false, false, true, 0, "kubectl get nodes" },
	{ "a proxy's page", 502, "", "<html>Bad Gateway</html>", -EREMOTEIO, PG_CLUSTER, false,
	  true, true, 0, "502" },
	{ "no API server", 200, "", "<html>", -EPROTO, PG_CLUSTER, false, false, false, 0,
	  "no Kubernetes API server" },
	{ "an escape for the terminal", 500, "", "a\x1b[31mb", -EREMOTEIO, PG_TARGET, false, false,
	  true, 0, "a?[31mb" },
};

static void refused(void **state)
{
	const struct refusal_case *c = *state;
	struct pg_http_upgraded answer = { .status = c->status,
					   .head = PG_BUF_INIT(1024),
					   .rest = PG_BUF_INIT(1024) };
	struct pg_portfwd_refusal why = { .transport = PG_TRANSPORT_SPDY, .status = c->status };
	struct pg_err err;
	pg_buf_addf(&answer.head, "HTTP/1.1 %d X\r\n%s\r\n", c->status, c->head);
	pg_buf_add_str(&answer.rest, c->body);
	assert_int_equal(pg_portfwd_refused(&answer, "ns", "w", &why, &err), c->code);
	assert_int_equal(err.whose, c->whose);
	assert_int_equal(why.is_unauthorized, c->is_unauthorized);
	assert_int_equal(why.other_may_help, c->other_may_help);
	assert_int_equal(why.again_may_help, c->again_may_help);
	assert_int_equal(why.retry_after_s, c->retry_after_s);
	assert_true(strstr(err.what, c->words) || strstr(err.hint, c->words));
	pg_buf_fini(&answer.head);
	pg_buf_fini(&answer.rest);
}

static void transport_names(void **state)
{
	(void)state;
	enum pg_transport t;
	for (int i = 0; i < PG_TRANSPORT_COUNT; i++) {
		assert_int_equal(pg_transport_parse(pg_transport_name((enum pg_transport)i), &t),
				 0);
		assert_int_equal(t, i);
	}
	assert_int_equal(pg_transport_parse("quic", &t), -EINVAL);
}

#define ADD_CASES(table, run)                                           \
	for (size_t i = 0; i < PG_LEN(table); i++)                      \
		tests[n++] = (struct CMUnitTest)                        \
		{                                                       \
			(table)[i].name, (run), NULL, NULL, &(table)[i] \
		}

int main(void)
{
	struct CMUnitTest tests[2 + PG_LEN(batches) + PG_LEN(ins) + PG_LEN(refusals)] = {
		cmocka_unit_test(urgent_goes_first_and_is_bounded),
		cmocka_unit_test(transport_names),
	};
	size_t n = 2;
	ADD_CASES(batches, batch);
	ADD_CASES(ins, feed);
	ADD_CASES(refusals, refused);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
