#include "injector/spdy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "injector/spdy_dict.h"
#include "proto/base/auto.h"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

/* What a decoder says, as text; pieces of one run of data are joined. */
struct story {
	char text[512];
	bool in_data;
	uint32_t stream;
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

static int on_data(void *ctx, uint32_t stream, const uint8_t *p, size_t n, bool fin)
{
	struct story *s = ctx;
	if (!s->in_data || s->stream != stream)
		tell(s, " data %u ", stream);
	tell(s, "%.*s%s", (int)n, (const char *)p, fin ? " fin" : "");
	s->in_data = !fin;
	s->stream = stream;
	return 0;
}

static int on_reply(void *ctx, uint32_t stream, bool fin)
{
	tell(ctx, " reply %u%s", stream, fin ? " fin" : "");
	return 0;
}

static int on_reset(void *ctx, uint32_t stream, uint32_t status)
{
	tell(ctx, " reset %u %u", stream, status);
	return status == 6 ? -ECONNRESET : 0;
}

static int on_ping(void *ctx, uint32_t id)
{
	tell(ctx, " ping %u", id);
	return 0;
}

static int on_goaway(void *ctx, uint32_t last_stream, uint32_t status)
{
	tell(ctx, " goaway %u %u", last_stream, status);
	return 0;
}

static const struct pg_spdy_ops ops = { on_data, on_reply, on_reset, on_ping, on_goaway };

struct decode_case {
	const char *name;
	const uint8_t *bytes;
	size_t n;
	int want;
	const char *story;
};

#define REPLY_1                                                                    \
	"\x80\x03\x00\x02\x00\x00\x00\x14\x00\x00\x00\x01\x78\xf9\xe3\xc6\xa7\xc2" \
	"\x62\x60\x60\x60\x00\x00\x00\x00\xff\xff"
#define REPLY_3 "\x80\x03\x00\x02\x00\x00\x00\x0c\x00\x00\x00\x03\x02\x61\x00\x00\x00\x00\xff\xff"
#define HELLO   "\x00\x00\x00\x03\x00\x00\x00\x05hello"

static struct decode_case cases[] = {
	{ "both replies and data", BYTES(REPLY_1 REPLY_3 HELLO), 0,
	  " reply 1 reply 3 data 3 hello" },
	{ "a refused port",
	  BYTES("\x00\x00\x00\x03\x01\x00\x00\x00"
		"\x00\x00\x00\x01\x00\x00\x00\x03"
		"why"
		"\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x05"),
	  0, " data 3  fin data 1 why reset 1 5" },
	{ "fin with the last bytes",
	  BYTES("\x00\x00\x00\x03\x01\x00\x00\x02"
		"ab"),
	  0, " data 3 ab fin" },
	{ "an empty data frame says nothing", BYTES("\x00\x00\x00\x03\x00\x00\x00\x00" HELLO), 0,
	  " data 3 hello" },
	{ "ping", BYTES("\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x02"), 0, " ping 2" },
	{ "goaway", BYTES("\x80\x03\x00\x07\x00\x00\x00\x08\x00\x00\x00\x03\x00\x00\x00\x01"), 0,
	  " goaway 3 1" },
	{ "settings, window update and an unknown frame are passed over",
	  BYTES("\x80\x03\x00\x04\x00\x00\x00\x04\x00\x00\x00\x00"
		"\x80\x03\x00\x09\x00\x00\x00\x08\x00\x00\x00\x03\x00\x00\x10\x00"
		"\x80\x03\x00\x63\x00\x00\x00\x14"
		"twenty bytes of that"
		"\x80\x03\x00\x63\x00\x00\x00\x00" HELLO),
	  0, " data 3 hello" },
	{ "reply with fin", BYTES("\x80\x03\x00\x02\x01\x00\x00\x04\x00\x00\x00\x01"), 0,
	  " reply 1 fin" },
	{ "the reserved bit of a stream id is ignored",
	  BYTES("\x80\x03\x00\x02\x00\x00\x00\x04\x80\x00\x00\x01"), 0, " reply 1" },
	{ "a callback ends it",
	  BYTES("\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x03\x00\x00\x00\x06" HELLO),
	  -ECONNRESET, " reset 3 6" },
	{ "another version", BYTES("\x80\x02\x00\x06\x00\x00\x00\x04\x00\x00\x00\x02"), -EPROTO,
	  "" },
	{ "HTTP", BYTES("HTTP/1.1 400 Bad Request\r\n"), 0,
	  " data 1213486160  400 Bad Request\r\n" },
	{ "ping too short", BYTES("\x80\x03\x00\x06\x00\x00\x00\x03\x00\x00\x00"), -EPROTO, "" },
	{ "reset too short", BYTES("\x80\x03\x00\x03\x00\x00\x00\x04\x00\x00\x00\x01"), -EPROTO,
	  "" },
	{ "goaway too short", BYTES("\x80\x03\x00\x07\x00\x00\x00\x00"), -EPROTO, "" },
	{ "reply too short", BYTES("\x80\x03\x00\x02\x00\x00\x00\x03\x00\x00\x00"), -EPROTO, "" },
	{ "half a frame", BYTES("\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00"), 0, "" },
};

static void decodes(void **state)
{
	const struct decode_case *c = *state;
	for (size_t step = 1; step <= c->n; step = step == 1 ? c->n : step + 1) {
		struct story s = { .text = "" };
		struct pg_spdy_decoder d = { .ops = &ops, .ctx = &s };
		int rc = 0;
		for (size_t at = 0; at < c->n && rc == 0; at += step)
			rc = pg_spdy_feed(&d, c->bytes + at, pg_min(step, c->n - at));
		assert_int_equal(rc, c->want);
		assert_string_equal(s.text, c->story);
	}
}

/* Captured from a live server's client: reference bytes for the first two blocks. */
static void pair_is_byte_for_byte(void **state)
{
	(void)state;
	static const char want[] =
		"\x80\x03\x00\x01\x00\x00\x00\x3e\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x78\xf9"
		"\xe3\xc6\xa7\xc2\x02\x25\x3a\x70\x3a\x2b\x29\x4a\x4d\xcc\x85\x16\x25\xac\xa9\xa0"
		"\x80\x86\x14\xcb\x45\xa0\x24\xcc\x0a\x4c\x11\x06\xa0\x04\xca\x59\x04\x89\xc7\x4c"
		"\x50\xfa\x66\x34\x00\x00\x00\x00\xff\xff\x00\x00\x00\x01\x01\x00\x00\x00\x80\x03"
		"\x00\x01\x00\x00\x00\x18\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\xc2\xaa\x1b\x54"
		"\x10\x25\x12\xa1\x19\x00\x00\x00\xff\xff";
	struct pg_buf out = PG_BUF_INIT(1024);
	assert_int_equal(pg_spdy_put_pair(&out, 25001), 0);
	assert_int_equal(out.len, sizeof(want) - 1);
	assert_memory_equal(out.data, want, out.len);
	pg_buf_fini(&out);
}

/* zlib reads our blocks back, for the shortest and the longest port. */
static void pair_inflates(void **state)
{
	(void)state;
	static const uint16_t ports[] = { 1, 65535 };
	for (size_t i = 0; i < PG_LEN(ports); i++) {
		struct pg_buf out = PG_BUF_INIT(1024);
		uint8_t block[512];
		z_stream z = { .next_in = NULL };
		assert_int_equal(pg_spdy_put_pair(&out, ports[i]), 0);
		assert_int_equal(inflateInit(&z), Z_OK);
		z.next_in = out.data + 18;
		z.avail_in = pg_get_be32(out.data + 4) - 10;
		z.next_out = block;
		z.avail_out = sizeof(block);
		assert_int_equal(inflate(&z, Z_SYNC_FLUSH), Z_NEED_DICT);
		assert_int_equal(inflateSetDictionary(&z, pg_spdy_dict, PG_SPDY_DICT_BYTES), Z_OK);
		assert_int_equal(inflate(&z, Z_SYNC_FLUSH), Z_OK);
		assert_int_equal(z.avail_in, 0);
		assert_int_equal(pg_get_be32(block), 3);
		assert_memory_equal(block + 8, "streamtype", 10);
		inflateEnd(&z);
		pg_buf_fini(&out);
	}
}

static void dictionary(void **state)
{
	(void)state;
	assert_int_equal(adler32(1, pg_spdy_dict, PG_SPDY_DICT_BYTES), 0xe3c6a7c2);
}

static void small_frames(void **state)
{
	(void)state;
	uint8_t p[PG_SPDY_CONTROL_MAX];
	pg_spdy_put_data(p, 3, false, 5);
	assert_memory_equal(p, "\x00\x00\x00\x03\x00\x00\x00\x05", 8);
	pg_spdy_put_data(p, 1, true, 0);
	assert_memory_equal(p, "\x00\x00\x00\x01\x01\x00\x00\x00", 8);
	assert_int_equal(pg_spdy_put_ping(p, 1), 12);
	assert_memory_equal(p, "\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x01", 12);
	assert_int_equal(pg_spdy_put_goaway(p, 0), 16);
	assert_memory_equal(p, "\x80\x03\x00\x07\x00\x00\x00\x08\0\0\0\0\0\0\0\0", 16);
}

static void no_room(void **state)
{
	(void)state;
	struct pg_buf out = PG_BUF_INIT(40);
	assert_int_equal(pg_spdy_put_pair(&out, 80), -ENOBUFS);
	pg_buf_fini(&out);
}

int main(void)
{
	static const struct CMUnitTest plain[] = {
		cmocka_unit_test(pair_is_byte_for_byte),
		cmocka_unit_test(pair_inflates),
		cmocka_unit_test(dictionary),
		cmocka_unit_test(small_frames),
		cmocka_unit_test(no_room),
	};
	struct CMUnitTest tests[PG_LEN(plain) + PG_LEN(cases)];
	memcpy(tests, plain, sizeof(plain));
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[PG_LEN(plain) + i] =
			(struct CMUnitTest){ cases[i].name, decodes, NULL, NULL, &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
