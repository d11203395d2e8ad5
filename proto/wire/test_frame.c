#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "proto/base/auto.h"
#include "proto/wire/frame.h"

struct frame_case {
	const char *name, *bytes;
	size_t n;
	int want;
	enum pg_frame_type type;
	uint16_t len;
	uint32_t stream;
};
#define BYTES(s) s, sizeof(s) - 1 /* a literal may hold zeros: never strlen() */

static struct frame_case cases[] = {
	{ "open", BYTES("\1\0\0\1\0\0\0\1"), PG_FRAME_HDR, PG_F_OPEN, 1, 1 },
	{ "data on stream 7", BYTES("\2\0\0\5\0\0\0\7"), PG_FRAME_HDR, PG_F_DATA, 5, 7 },
	{ "the largest payload", BYTES("\2\0\x80\0\0\0\0\7"), PG_FRAME_HDR, PG_F_DATA, 32768, 7 },
	{ "the last stream", BYTES("\4\0\0\0\x7f\xff\xff\xff"), PG_FRAME_HDR, PG_F_EOF, 0,
	  INT32_MAX },
	{ "credit", BYTES("\3\0\0\4\0\0\0\7"), PG_FRAME_HDR, PG_F_CREDIT, 4, 7 },
	{ "reset", BYTES("\5\0\0\1\0\0\0\7"), PG_FRAME_HDR, PG_F_RESET, 1, 7 },
	{ "accepted", BYTES("\6\0\0\0\0\0\0\7"), PG_FRAME_HDR, PG_F_ACCEPTED, 0, 7 },
	{ "ping", BYTES("\7\0\0\x8\0\0\0\0"), PG_FRAME_HDR, PG_F_PING, 8, 0 },
	{ "pong", BYTES("\x8\0\0\x8\0\0\0\0"), PG_FRAME_HDR, PG_F_PONG, 8, 0 },
	{ "control", BYTES("\x9\0\0\x8\0\0\0\0"), PG_FRAME_HDR, PG_F_CONTROL, 8, 0 },
	{ "return", BYTES("\xa\0\0\4\0\0\0\7"), PG_FRAME_HDR, PG_F_RETURN, 4, 7 },
	{ "more than a header", BYTES("\4\0\0\0\0\0\0\7\xff"), PG_FRAME_HDR, PG_F_EOF, 0, 7 },
	{ "nothing", BYTES(""), 0, 0, 0, 0 },
	{ "one byte short", BYTES("\2\0\0\5\0\0\0"), 0, 0, 0, 0 },
	{ "type 0 is never legal", BYTES("\0\0\0\0\0\0\0\1"), -EPROTO, 0, 0, 0 },
	{ "zeros are no frames", BYTES("\0\0\0\0\0\0\0\0"), -EPROTO, 0, 0, 0 },
	{ "a type beyond the last", BYTES("\xb\0\0\0\0\0\0\1"), -EPROTO, 0, 0, 0 },
	{ "type 255", BYTES("\xff\0\0\0\0\0\0\1"), -EPROTO, 0, 0, 0 },
	{ "a flag", BYTES("\2\1\0\5\0\0\0\7"), -EPROTO, 0, 0, 0 },
	{ "payload over the cap", BYTES("\2\0\x80\1\0\0\0\7"), -EMSGSIZE, 0, 0, 0 },
	{ "stream 2^31", BYTES("\2\0\0\5\x80\0\0\0"), -EPROTO, 0, 0, 0 },
	{ "open of stream 0", BYTES("\1\0\0\1\0\0\0\0"), -EPROTO, 0, 0, 0 },
	{ "open without a payload", BYTES("\1\0\0\0\0\0\0\1"), -EPROTO, 0, 0, 0 },
	{ "data on stream 0", BYTES("\2\0\0\5\0\0\0\0"), -EPROTO, 0, 0, 0 },
	{ "data of no bytes", BYTES("\2\0\0\0\0\0\0\7"), -EPROTO, 0, 0, 0 },
	{ "short credit", BYTES("\3\0\0\3\0\0\0\7"), -EPROTO, 0, 0, 0 },
	{ "long credit", BYTES("\3\0\0\5\0\0\0\7"), -EPROTO, 0, 0, 0 },
	{ "credit of the lane", BYTES("\3\0\0\4\0\0\0\0"), -EPROTO, 0, 0, 0 },
	{ "EOF with a payload", BYTES("\4\0\0\1\0\0\0\7"), -EPROTO, 0, 0, 0 },
	{ "reset without a reason", BYTES("\5\0\0\0\0\0\0\7"), -EPROTO, 0, 0, 0 },
	{ "accepted with a payload", BYTES("\6\0\0\1\0\0\0\7"), -EPROTO, 0, 0, 0 },
	{ "ping on a stream", BYTES("\7\0\0\x8\0\0\0\1"), -EPROTO, 0, 0, 0 },
	{ "ping of 7 bytes", BYTES("\7\0\0\7\0\0\0\0"), -EPROTO, 0, 0, 0 },
	{ "pong of 9 bytes", BYTES("\x8\0\0\x9\0\0\0\0"), -EPROTO, 0, 0, 0 },
	{ "control on a stream", BYTES("\x9\0\0\x8\0\0\0\1"), -EPROTO, 0, 0, 0 },
	{ "an empty control message", BYTES("\x9\0\0\0\0\0\0\0"), -EPROTO, 0, 0, 0 },
	{ "return of the lane", BYTES("\xa\0\0\4\0\0\0\0"), -EPROTO, 0, 0, 0 },
};

static void decodes(void **state)
{
	const struct frame_case *c = *state;
	struct pg_frame f = { .type = PG_F_ILLEGAL };
	assert_int_equal(pg_frame_decode((const uint8_t *)c->bytes, c->n, &f), c->want);
	assert_int_equal(f.type, c->type); /* and untouched on failure */
	assert_int_equal(f.len, c->len);
	assert_int_equal(f.stream, c->stream);
	if (c->want <= 0)
		return;
	uint8_t again[PG_FRAME_HDR];
	pg_frame_encode(&f, again);
	assert_memory_equal(again, c->bytes, sizeof(again));
}

static void reasons_have_names(void **state)
{
	(void)state;
	for (int i = 0; i < PG_RESET_COUNT; i++)
		assert_true(strlen(pg_reset_name((enum pg_reset)i)) > 0);
	assert_string_equal(pg_reset_name(PG_RESET_REFUSED), "refused");
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 1] = { 0 };
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, decodes, NULL, NULL, &cases[i] };
	tests[PG_LEN(cases)] = (struct CMUnitTest)cmocka_unit_test(reasons_have_names);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
