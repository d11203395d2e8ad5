/* What the kubelet's probes begin with, and what only looks like it. The bytes of the gRPC probe
 * are those that a kubelet 1.35 sent; nothing that is cut short is ever mistaken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "agent/first_bytes.h"
#include "proto/base/mem.h"

#define BYTES(s) s, sizeof(s) - 1 /* a literal may hold zeros */
#define PREFACE  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS "\0\0\0\x04\0\0\0\0\0"
#define ACK      "\0\0\0\x04\x01\0\0\0\0"
#define WINDOW   "\0\0\x04\x08\0\0\0\0\0\0\0\x40\0"
#define HEADERS  "\0\0\x7e\x01\x04\0\0\0\x01"
#define PATH                                                                                       \
	"\x45\x95\x62\x6b\x2b\x22\xf3\x94\x74\x26\x75\xfb\x85\x7c\x65\x1d\x09\x9d\x8b\xd3\x94\x9d" \
	"\x7f"
/* :method, :scheme, the path, then :authority, content-type, user-agent, te, grpc-timeout */
#define REST                                                                                       \
	"\x41\x8d\x08\x17\x10\x59\x5c\x0b\x84\x2c\xdc\x6c\x00\x6c\x5f\x5f\x8b\x1d\x75\xd0\x62\x0d" \
	"\x26\x3d\x4c\x4d\x65\x64\x7a\x96\xeb\x6c\x65\x5a\xbb\x0f\x19\x58\x0a\xec\xb8\xa4\xd6\x56" \
	"\x45\xa6\x3b\x01\x5d\xd7\xd7\x67\x40\x02\x74\x65\x86\x4d\x83\x35\x05\xb1\x1f\x40\x8e\x9a" \
	"\xca\xc8\xb0\xc8\x42\xd6\x95\x8b\x51\x0f\x21\xaa\x9b\x83\x9b\xd9\xab\x40\x89\x9a\xca\xc8" \
	"\xb2\x4d\x49\x4f\x6a\x7f\x86\x7d\xf7\xc2\xdb\xf6\xff"
#define REQUEST HEADERS "\x83\x86" PATH REST
#define PLAIN   "\x04\x1c/grpc.health.v1.Health/Check"

struct first_case {
	const char *name, *bytes;
	size_t n;
	bool grpc, greeted;
	enum pg_first want;
};

static struct first_case cases[] = {
	{ "nothing", BYTES(""), true, false, PG_FIRST_MORE },
	{ "the kubelet's GET",
	  BYTES("GET /healthz HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nUser-Agent: kube-probe/1.35\r\n"),
	  false, false, PG_FIRST_PROBE },
	{ "a header's name in small letters, bare newlines",
	  BYTES("GET / HTTP/1.1\nuser-agent:kube-probe/1.9\n"), false, false, PG_FIRST_PROBE },
	{ "curl's GET", BYTES("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/7.88\r\n"), false,
	  false, PG_FIRST_OTHER },
	{ "the kubelet named elsewhere",
	  BYTES("GET /kube-probe/1.35 HTTP/1.1\r\nX-User-Agent: kube-probe/1.35\r\n\r\n"), false,
	  false, PG_FIRST_OTHER },
	{ "the kubelet named in the body",
	  BYTES("GET / HTTP/1.1\r\n\r\nUser-Agent: kube-probe/1.35\r\n"), false, false,
	  PG_FIRST_OTHER },
	{ "the kubelet named late", BYTES("GET / HTTP/1.1\r\nUser-Agent: not kube-probe/1.35\r\n"),
	  false, false, PG_FIRST_OTHER },
	{ "a line that is not whole",
	  BYTES("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1"), false, false,
	  PG_FIRST_MORE },
	{ "no header", BYTES("GET / HTTP/1.0\r\n\r\n"), false, false, PG_FIRST_OTHER },
	{ "a POST", BYTES("P"), false, false, PG_FIRST_OTHER },
	{ "TLS", BYTES("\x16\x03\x01"), true, false, PG_FIRST_OTHER },
	{ "the beginning of a GET", BYTES("GE"), false, false, PG_FIRST_MORE },
	{ "HTTP/2 where no gRPC probe is declared", BYTES("PRI"), false, false, PG_FIRST_OTHER },
	{ "the beginning of HTTP/2", BYTES("PRI * HTTP/2"), true, false, PG_FIRST_MORE },
	{ "a preface alone", BYTES(PREFACE), true, false, PG_FIRST_MORE },
	{ "the kubelet waits for the server", BYTES(PREFACE SETTINGS), true, false,
	  PG_FIRST_GREET },
	{ "so does a client with a window", BYTES(PREFACE SETTINGS WINDOW), true, false,
	  PG_FIRST_GREET },
	{ "greeted once is enough", BYTES(PREFACE SETTINGS), true, true, PG_FIRST_MORE },
	{ "the kubelet's request", BYTES(PREFACE SETTINGS ACK REQUEST), true, true,
	  PG_FIRST_PROBE },
	{ "a request before the acknowledgement", BYTES(PREFACE SETTINGS REQUEST), true, true,
	  PG_FIRST_MORE },
	{ "which then comes", BYTES(PREFACE SETTINGS REQUEST ACK), true, true, PG_FIRST_PROBE },
	{ "a client that does not wait", BYTES(PREFACE SETTINGS REQUEST), true, false,
	  PG_FIRST_PROBE },
	{ "padded, with a priority, and spelled out",
	  BYTES(PREFACE SETTINGS "\0\0\x27\x01\x2d\0\0\0\x01"
				 "\x02\0\0\0\0\x10\x83" PLAIN "\0\0"),
	  true, false, PG_FIRST_PROBE },
	{ "the kubelet's request, and junk",
	  BYTES(PREFACE SETTINGS ACK REQUEST "\xff\xff\xff\0\0\0\0\0\0"), true, true,
	  PG_FIRST_PROBE },
	{ "another path", BYTES(PREFACE SETTINGS "\0\0\x07\x01\x05\0\0\0\x01\x83\x44\x04/abc"),
	  true, false, PG_FIRST_OTHER },
	{ "the path of the table", BYTES(PREFACE SETTINGS "\0\0\x03\x01\x05\0\0\0\x01\x83\x86\x84"),
	  true, false, PG_FIRST_OTHER },
	{ "no path", BYTES(PREFACE SETTINGS "\0\0\x02\x01\x05\0\0\0\x01\x83\x86"), true, false,
	  PG_FIRST_OTHER },
	{ "a field that is cut short",
	  BYTES(PREFACE SETTINGS "\0\0\x03\x01\x05\0\0\0\x01\x44\x7f\x80"), true, false,
	  PG_FIRST_OTHER },
	{ "more padding than there is", BYTES(PREFACE SETTINGS "\0\0\x01\x01\x0d\0\0\0\x01\x09"),
	  true, false, PG_FIRST_OTHER },
	{ "another frame first", BYTES(PREFACE WINDOW), true, false, PG_FIRST_OTHER },
	{ "an acknowledgement first", BYTES(PREFACE ACK), true, false, PG_FIRST_OTHER },
	{ "a frame beyond the limit", BYTES(PREFACE SETTINGS "\0\x40\x01\x01\0\0\0\0\x01"), true,
	  false, PG_FIRST_OTHER },
};

static bool is_verdict(enum pg_first f)
{
	return f == PG_FIRST_PROBE || f == PG_FIRST_OTHER;
}

/* A verdict is one for all that follows; what comes before says nothing else. */
static void tells_what_it_is(void **state)
{
	const struct first_case *c = *state;
	const uint8_t *p = (const uint8_t *)c->bytes;
	enum pg_first early = PG_FIRST_MORE;
	for (size_t n = 0; n <= c->n && !is_verdict(early); n++)
		early = pg_first_look(p, n, c->grpc, c->greeted);
	assert_int_equal(pg_first_look(p, c->n, c->grpc, c->greeted), c->want);
	if (is_verdict(early) || is_verdict(c->want))
		assert_int_equal(early, c->want);
}

static void four_kibibytes_without_a_verdict_are_one(void **state)
{
	static char long_line[PG_FIRST_MAX];
	(void)state;
	memset(long_line, 'a', sizeof(long_line));
	memcpy(long_line, "GET /", 5);
	assert_int_equal(pg_first_look((uint8_t *)long_line, sizeof(long_line) - 1, false, false),
			 PG_FIRST_MORE);
	assert_int_equal(pg_first_look((uint8_t *)long_line, sizeof(long_line), false, false),
			 PG_FIRST_OTHER);
}

static void the_server_does_not_see_what_answers_the_greeting(void **state)
{
	uint8_t bytes[] = PREFACE SETTINGS WINDOW ACK REQUEST;
	static const char wanted[] = PREFACE SETTINGS WINDOW REQUEST;
	(void)state;
	size_t n = pg_first_forget_greeting(bytes, sizeof(bytes) - 1);
	assert_int_equal(n, sizeof(wanted) - 1);
	assert_memory_equal(bytes, wanted, n);
	assert_int_equal(pg_first_forget_greeting(bytes, n), n);
	assert_int_equal(pg_first_forget_greeting(bytes, 30), 30);
	assert_int_equal(pg_first_forget_greeting(bytes, 3), 3);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 2] = {
		cmocka_unit_test(four_kibibytes_without_a_verdict_are_one),
		cmocka_unit_test(the_server_does_not_see_what_answers_the_greeting),
	};
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i + 2] = (struct CMUnitTest){ cases[i].name, tells_what_it_is, NULL, NULL,
						    &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
