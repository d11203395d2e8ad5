#include "injector/ws.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <wslay/wslay.h>

#include "proto/base/auto.h"
#include "proto/base/num.h"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

/* What a decoder says, as text: each message in brackets, pieces joined. */
struct story {
	char text[512];
};

static void tell(struct story *s, const char *fmt, ...) PG_PRINTF(2, 3);
static void tell(struct story *s, const char *fmt, ...)
{
	size_t n = strlen(s->text);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(s->text + n, sizeof(s->text) - n, fmt, ap);
	va_end(ap);
}

static int on_data(void *ctx, const uint8_t *p, size_t n, bool first)
{
	tell(ctx, "%s%.*s", first ? "|" : "", (int)n, (const char *)p);
	return 0;
}

static int on_ping(void *ctx, const uint8_t *p, size_t n)
{
	tell(ctx, "<ping %.*s>", (int)n, (const char *)p);
	return 0;
}

static int on_close(void *ctx, uint16_t code)
{
	tell(ctx, "<close %u>", code);
	return -ENODATA;
}

static const struct pg_ws_ops ops = { on_data, on_ping, on_close };

struct decode_case {
	const char *name;
	const uint8_t *bytes;
	size_t n;
	int want;
	const char *story;
};

static struct decode_case cases[] = {
	{ "two messages", BYTES("\x82\x05hello\x82\x02me"), 0, "|hello|me" },
	{ "an empty message", BYTES("\x82\x00\x82\x01x"), 0, "||x" },
	{ "fragments", BYTES("\x02\x02he\x00\x02ll\x80\x01o"), 0, "|hello" },
	{ "an empty last fragment", BYTES("\x02\x05hello\x80\x00"), 0, "|hello" },
	{ "an empty first fragment", BYTES("\x02\x00\x80\x02hi"), 0, "|hi" },
	{ "nothing but empty fragments", BYTES("\x02\x00\x00\x00\x80\x00\x82\x01x"), 0, "||x" },
	{ "a ping between fragments", BYTES("\x02\x02he\x89\x03you\x80\x03llo"), 0,
	  "|he<ping you>llo" },
	{ "an empty ping", BYTES("\x89\x00"), 0, "<ping >" },
	{ "a pong says nothing", BYTES("\x8a\x01x\x82\x01y"), 0, "|y" },
	{ "close", BYTES("\x88\x02\x03\xe8"), -ENODATA, "<close 1000>" },
	{ "close with a reason", BYTES("\x88\x05\x03\xf1why"), -ENODATA, "<close 1009>" },
	{ "close without a code", BYTES("\x88\x00"), -ENODATA, "<close 1005>" },
	{ "nothing after close", BYTES("\x82\x01x\x88\x02\x03\xe8\x82\x01y"), -ENODATA,
	  "|x<close 1000>" },
	{ "half a code", BYTES("\x88\x01\x03"), -EPROTO, "" },
	{ "16 bits of length",
	  BYTES("\x82\x7e\x00\x7e"
		"123456789012345678901234567890123456789012345678901234567890123"
		"123456789012345678901234567890123456789012345678901234567890123"),
	  0,
	  "|123456789012345678901234567890123456789012345678901234567890123"
	  "123456789012345678901234567890123456789012345678901234567890123" },
	{ "16 bits where 7 do", BYTES("\x82\x7e\x00\x7d"), -EPROTO, "" },
	{ "64 bits where 16 do", BYTES("\x82\x7f\0\0\0\0\0\0\xff\xff"), -EPROTO, "" },
	{ "64 bits of length", BYTES("\x82\x7f\0\0\0\0\0\1\0\0start"), 0, "|start" },
	{ "a negative length", BYTES("\x82\x7f\x80\0\0\0\0\0\0\1"), -EPROTO, "" },
	{ "a masked frame", BYTES("\x82\x81\1\2\3\4x"), -EPROTO, "" },
	{ "a reserved bit", BYTES("\xc2\x01x"), -EPROTO, "" },
	{ "text", BYTES("\x81\x01x"), -EPROTO, "" },
	{ "an unknown opcode", BYTES("\x83\x01x"), -EPROTO, "" },
	{ "an unknown control opcode", BYTES("\x8b\x00"), -EPROTO, "" },
	{ "a fragmented ping", BYTES("\x09\x01x"), -EPROTO, "" },
	{ "a ping of 126 bytes", BYTES("\x89\x7e\x00\x7e"), -EPROTO, "" },
	{ "a continuation of nothing", BYTES("\x80\x01x"), -EPROTO, "" },
	{ "a message in the middle of one", BYTES("\x02\x01x\x82\x01y"), -EPROTO, "|x" },
};

static void decodes(void **state)
{
	const struct decode_case *c = *state;
	for (size_t step = 1; step <= c->n; step++) {
		struct story s = { .text = "" };
		struct pg_ws_decoder d = { .ops = &ops, .ctx = &s };
		int rc = 0;
		for (size_t at = 0; at < c->n && rc == 0; at += step)
			rc = pg_ws_feed(&d, c->bytes + at, pg_min(step, c->n - at));
		assert_int_equal(rc, c->want);
		assert_string_equal(s.text, c->story);
	}
}

/* wslay as oracle: what it reads out of our frames, and what we read out of its. */
struct tape {
	uint8_t bytes[80000];
	size_t len, at;
};

static ssize_t play(uint8_t *buf, size_t len, int flags, void *ctx)
{
	(void)flags;
	struct tape *t = ctx;
	size_t n = pg_min(len, t->len - t->at);
	memcpy(buf, t->bytes + t->at, n);
	t->at += n;
	return n > 0 ? (ssize_t)n : -1;
}

static ssize_t record(const uint8_t *data, size_t len, int flags, void *ctx)
{
	(void)flags;
	struct tape *t = ctx;
	memcpy(t->bytes + t->len, data, len);
	t->len += len;
	return (ssize_t)len;
}

static const struct wslay_frame_callbacks tape_ops = { record, play, NULL };
static const size_t sizes[] = { 0, 1, 7, 8, 9, 125, 126, 127, 4096, 32769, 65535, 65536, 70001 };

static uint8_t sample(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8));
}

static void wslay_reads_ours(void **state)
{
	(void)state;
	static struct tape t;
	for (size_t i = 0; i < PG_LEN(sizes); i++) {
		size_t n = sizes[i], seen = 0;
		uint8_t *payload = t.bytes + PG_WS_HEAD_MAX + i % 3; /* at any alignment */
		for (size_t k = 0; k < n; k++)
			payload[k] = sample(k);
		uint8_t *start =
			pg_ws_seal(payload, n, PG_WS_BINARY, (const uint8_t *)"\x12\xff\x00\x9a");
		t.at = (size_t)(start - t.bytes);
		t.len = (size_t)(payload - t.bytes) + n;
		wslay_frame_context_ptr w;
		assert_int_equal(wslay_frame_context_init(&w, &tape_ops, &t), 0);
		do {
			struct wslay_frame_iocb io = { .fin = 0 };
			assert_true(wslay_frame_recv(w, &io) >= 0);
			assert_int_equal(io.fin, 1);
			assert_int_equal(io.opcode, WSLAY_BINARY_FRAME);
			assert_int_equal(io.mask, 1);
			assert_int_equal(io.payload_length, n);
			for (size_t k = 0; k < io.data_length; k++)
				assert_int_equal(io.data[k], sample(seen + k));
			seen += io.data_length;
		} while (seen < n);
		assert_int_equal(t.at, t.len);
		wslay_frame_context_free(w);
	}
}

struct sum {
	size_t n, messages;
};

static int count_data(void *ctx, const uint8_t *p, size_t n, bool first)
{
	struct sum *s = ctx;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(p[i], sample(s->n + i));
	s->n += n;
	s->messages += first;
	return 0;
}

static void ours_read_wslay(void **state)
{
	(void)state;
	static const struct pg_ws_ops count_ops = { count_data, on_ping, on_close };
	static struct tape t;
	static uint8_t payload[80000];
	for (size_t k = 0; k < sizeof(payload); k++)
		payload[k] = sample(k);
	for (size_t i = 0; i < PG_LEN(sizes); i++) {
		struct wslay_frame_iocb io = { .fin = 1, .opcode = WSLAY_BINARY_FRAME };
		wslay_frame_context_ptr w;
		t.len = 0;
		io.data = payload;
		io.data_length = sizes[i];
		io.payload_length = sizes[i];
		assert_int_equal(wslay_frame_context_init(&w, &tape_ops, &t), 0);
		assert_int_equal(wslay_frame_send(w, &io), sizes[i]);
		wslay_frame_context_free(w);
		struct sum s = { .n = 0 };
		struct pg_ws_decoder d = { .ops = &count_ops, .ctx = &s };
		for (size_t at = 0; at < t.len; at += 1000)
			assert_int_equal(pg_ws_feed(&d, t.bytes + at, pg_min(1000, t.len - at)), 0);
		assert_int_equal(s.n, sizes[i]);
		assert_int_equal(s.messages, 1);
	}
}

/* RFC 6455 1.3. */
static void accept_of_the_rfc(void **state)
{
	(void)state;
	char key[PG_WS_KEY_TEXT], accept[PG_WS_ACCEPT_TEXT];
	pg_ws_key((const uint8_t *)"the sample nonce", key);
	assert_string_equal(key, "dGhlIHNhbXBsZSBub25jZQ==");
	pg_ws_accept(key, accept);
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/* RFC 6455 5.7: a single-frame masked text message, there with opcode 1. */
static void seal_of_the_rfc(void **state)
{
	(void)state;
	uint8_t bytes[PG_WS_HEAD_MAX + 5];
	memcpy(bytes + PG_WS_HEAD_MAX, "Hello", 5);
	uint8_t *start = pg_ws_seal(bytes + PG_WS_HEAD_MAX, 5, PG_WS_BINARY,
				    (const uint8_t *)"\x37\xfa\x21\x3d");
	assert_memory_equal(start, "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
}

int main(void)
{
	static const struct CMUnitTest plain[] = {
		cmocka_unit_test(wslay_reads_ours),
		cmocka_unit_test(ours_read_wslay),
		cmocka_unit_test(accept_of_the_rfc),
		cmocka_unit_test(seal_of_the_rfc),
	};
	struct CMUnitTest tests[PG_LEN(plain) + PG_LEN(cases)];
	memcpy(tests, plain, sizeof(plain));
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[PG_LEN(plain) + i] =
			(struct CMUnitTest){ cases[i].name, decodes, NULL, NULL, &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
