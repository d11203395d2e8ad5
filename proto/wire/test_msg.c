#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/wire/frame.h"
#include "proto/wire/msg.h"

#define BYTES(s) s, sizeof(s) - 1 /* a literal may hold zeros: never strlen() */

#define OWNER_64 "0123456789012345678901234567890123456789012345678901234567890123"

/* Written out by hand from podgraft.proto, so that generator and reader do not agree by accident.
 */
static struct msg_case {
	const char *name, *bytes;
	size_t n;
	int want;
	const char *why;
} controls[] = {
	{ "control: redirect_start", BYTES("\x08\x07\x12\x05\x08\x01\x10\x90\x3f"), 0, NULL },
	{ "control: an owner of 64 bytes",
	  BYTES("\x08\x07\x12\x47\x08\x01\x10\x90\x3f\x22\x40" OWNER_64), 0, NULL },
	{ "control: an owner of 65 bytes",
	  BYTES("\x08\x07\x12\x48\x08\x01\x10\x90\x3f\x22\x41" OWNER_64 "4"), -EPROTO,
	  "redirect_start.owner" },
	{ "control: an owner with an escape sequence",
	  BYTES("\x08\x07\x12\x0a\x08\x01\x10\x90\x3f\x22\x03\x1b[m"), -EPROTO,
	  "redirect_start.owner" },
	{ "control: an owner that is not UTF-8",
	  BYTES("\x08\x07\x12\x08\x08\x01\x10\x90\x3f\x22\x01\xff"), -EPROTO,
	  "redirect_start.owner" },
	{ "control: an owner with a C1 control",
	  BYTES("\x08\x07\x12\x09\x08\x01\x10\x90\x3f\x22\x02\xc2\x9b"), -EPROTO,
	  "redirect_start.owner" },
	{ "control: port 0", BYTES("\x08\x07\x12\x02\x08\x01"), -EPROTO, "redirect_start.port" },
	{ "control: port 65536", BYTES("\x08\x07\x12\x06\x08\x01\x10\x80\x80\x04"), -EPROTO,
	  "redirect_start.port" },
	{ "control: redirect 0", BYTES("\x08\x07\x12\x02\x10\x50"), -EPROTO,
	  "redirect_start.redirect" },
	{ "control: redirect 2^31", BYTES("\x08\x07\x12\x08\x08\x80\x80\x80\x80\x08\x10\x50"),
	  -EPROTO, "redirect_start.redirect" },
	{ "control: redirect 2^31 - 1", BYTES("\x08\x07\x12\x08\x08\xff\xff\xff\xff\x07\x10\x50"),
	  0, NULL },
	{ "control: no request number", BYTES("\x12\x05\x08\x01\x10\x90\x3f"), -EPROTO, "request" },
	{ "control: no body", BYTES("\x08\x07"), -EPROTO, "body" },
	{ "control: a body from the future", BYTES("\x08\x07\x7a\x02\x08\x01"), -EPROTO, "body" },
	{ "control: a field from the future", BYTES("\x08\x07\x32\x00\xa0\x06\x01"), 0, NULL },
	{ "control: empty", BYTES(""), -EPROTO, "request" },
	{ "control: redirect_stop", BYTES("\x08\x07\x1a\x02\x08\x01"), 0, NULL },
	{ "control: redirect_stop of nothing", BYTES("\x08\x07\x1a\x00"), -EPROTO,
	  "redirect_stop.redirect" },
	{ "control: redirect_status armed", BYTES("\x08\x07\x22\x08\x08\x01\x10\x01\x22\x02ok"), 0,
	  NULL },
	{ "control: redirect_status without a state", BYTES("\x08\x07\x22\x02\x08\x01"), -EPROTO,
	  "redirect_status.state" },
	{ "control: redirect_status taken by bo",
	  BYTES("\x22\x08\x08\x01\x10\x05\x2a\x02"
		"bo"),
	  0, NULL },
	{ "control: redirect_status with state 6", BYTES("\x08\x07\x22\x04\x08\x01\x10\x06"),
	  -EPROTO, "redirect_status.state" },
	{ "control: redirect_counts that nobody asked for",
	  BYTES("\x42\x08\x08\x01\x10\x02\x18\x03\x20\x04"), 0, NULL },
	{ "control: redirect_counts of nothing", BYTES("\x42\x02\x10\x02"), -EPROTO,
	  "redirect_counts.redirect" },
	{ "control: undo for bo",
	  BYTES("\x08\x07\x4a\x04\x0a\x02"
		"bo"),
	  0, NULL },
	{ "control: undo that nobody waits for",
	  BYTES("\x4a\x04\x0a\x02"
		"bo"),
	  -EPROTO, "request" },
	{ "control: undone, unasked",
	  BYTES("\x52\x08\x0a\x02"
		"bo\x10\x01\x18\x02"),
	  0, NULL },
	{ "control: undone by a newline", BYTES("\x52\x03\x0a\x01\n"), -EPROTO, "undone.by" },
	{ "control: outgoing to 10.0.0.0/8 by uid 33",
	  BYTES("\x08\x07\x12\x14\x08\x01\x10\x50\x40\x01\x4a\x08\x0a\x04\x0a\0\0\0\x10\x08\x50\x01"
		"\x58"
		"\x21"),
	  0, NULL },
	{ "control: outgoing to a network of 33 bits of 32",
	  BYTES("\x08\x07\x12\x0e\x08\x01\x10\x50\x4a\x08\x0a\x04\x0a\0\0\0\x10\x21"), -EPROTO,
	  "redirect_start.to" },
	{ "control: outgoing to an address of 5 bytes",
	  BYTES("\x08\x07\x12\x0d\x08\x01\x10\x50\x4a\x07\x0a\x05\x0a\0\0\0\0"), -EPROTO,
	  "redirect_start.to" },
	{ "control: a node of 4 bytes",
	  BYTES("\x08\x07\x12\x0a\x08\x01\x10\x50\x62\x04\x0a\0\0\x01"), 0, NULL },
	{ "control: a node of 3 bytes", BYTES("\x08\x07\x12\x09\x08\x01\x10\x50\x62\x03\x0a\0\0"),
	  -EPROTO, "redirect_start.nodes" },
	{ "control: redirect_status that nobody asked for", BYTES("\x22\x04\x08\x01\x10\x04"), 0,
	  NULL },
	{ "control: redirect_status with errno 4096",
	  BYTES("\x08\x07\x22\x07\x08\x01\x10\x03\x18\x80\x20"), -EPROTO, "redirect_status.code" },
	{ "control: redirect_status with a negative errno",
	  BYTES("\x08\x07\x22\x0f\x08\x01\x10\x03\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
	  -EPROTO, "redirect_status.code" },
	{ "control: redirect_status with a newline",
	  BYTES("\x08\x07\x22\x07\x08\x01\x10\x03\x22\x01\n"), -EPROTO, "redirect_status.text" },
	{ "control: redirect_status with a newline in its hint",
	  BYTES("\x08\x07\x22\x07\x08\x01\x10\x03\x3a\x01\n"), -EPROTO, "redirect_status.hint" },
	{ "control: redirect_status with a bad holder",
	  BYTES("\x08\x07\x22\x07\x08\x01\x10\x03\x2a\x01\x7f"), -EPROTO,
	  "redirect_status.holder" },
	{ "control: ports_request", BYTES("\x08\x07\x2a\x00"), 0, NULL },
	{ "control: ports", BYTES("\x08\x07\x32\x06\x0a\x04\x08\x50\x18\x06"), 0, NULL },
	{ "control: ports with none", BYTES("\x08\x07\x32\x00"), 0, NULL },
	{ "control: ports with port 0", BYTES("\x08\x07\x32\x04\x0a\x02\x18\x06"), -EPROTO,
	  "ports.port" },
	{ "control: ports with family 5", BYTES("\x08\x07\x32\x06\x0a\x04\x08\x50\x18\x05"),
	  -EPROTO, "ports.family" },
	{ "control: goodbye", BYTES("\x08\x07\x3a\x03\x08\xe8\x07"), 0, NULL },
	{ "control: cut in a field", BYTES("\x08\x07\x12\x05\x08\x01"), -EPROTO, "encoding" },
	{ "control: a length past the end", BYTES("\x08\x07\x12\xff\xff\xff\xff\x0f"), -EPROTO,
	  "encoding" },
};

#define V4 "\x12\x04\x0a\x00\x00\x01"
#define V6 "\x12\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"

static struct msg_case opens[] = {
	{ "open: IPv4", BYTES("\x08\x01" V4 "\x18\x50\x22\x04\x0a\x00\x00\x02\x28\x50"), 0, NULL },
	{ "open: IPv6",
	  BYTES("\x08\x01" V6 "\x18\x50\x22\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x28\x50"), 0,
	  NULL },
	{ "open: an address of 5 bytes",
	  BYTES("\x08\x01\x12\x05\x0a\x00\x00\x01\x02\x18\x50\x22\x04\x0a\x00\x00\x02\x28\x50"),
	  -EPROTO, "peer_address" },
	{ "open: no local address", BYTES("\x08\x01" V4 "\x18\x50\x28\x50"), -EPROTO,
	  "local_address" },
	{ "open: no peer port", BYTES("\x08\x01" V4 "\x22\x04\x0a\x00\x00\x02\x28\x50"), -EPROTO,
	  "peer_port" },
	{ "open: no local port", BYTES("\x08\x01" V4 "\x18\x50\x22\x04\x0a\x00\x00\x02"), -EPROTO,
	  "local_port" },
	{ "open: no redirect", BYTES(V4 "\x18\x50\x22\x04\x0a\x00\x00\x02\x28\x50"), -EPROTO,
	  "redirect" },
	{ "open: empty", BYTES(""), -EPROTO, "redirect" },
};

static void unpacks_control(void **state)
{
	const struct msg_case *c = *state;
	Podgraft__V1__Control *m = NULL;
	const char *why = NULL;
	assert_int_equal(pg_msg_unpack((const uint8_t *)c->bytes, c->n, &m, NULL), c->want);
	pg_msg_free(m);
	m = NULL;
	assert_int_equal(pg_msg_unpack((const uint8_t *)c->bytes, c->n, &m, &why), c->want);
	if (c->want < 0) {
		assert_null(m);
		assert_string_equal(why, c->why);
	}
	pg_msg_free(m);
}

static void unpacks_open(void **state)
{
	const struct msg_case *c = *state;
	Podgraft__V1__Open *m = NULL;
	const char *why = NULL;
	assert_int_equal(pg_open_unpack((const uint8_t *)c->bytes, c->n, &m, &why), c->want);
	if (c->want < 0) {
		assert_null(m);
		assert_string_equal(why, c->why);
	}
	pg_open_free(m);
}

static void size_is_capped_before_unpacking(void **state)
{
	(void)state;
	static const uint8_t zeros[PG_FRAME_MAX + 1];
	Podgraft__V1__Control *m = NULL;
	Podgraft__V1__Open *o = NULL;
	assert_int_equal(pg_msg_unpack(zeros, sizeof(zeros), &m, NULL), -EMSGSIZE);
	assert_int_equal(pg_open_unpack(zeros, PG_OPEN_MAX + 1, &o, NULL), -EMSGSIZE);
	assert_null(m);
	assert_null(o);
}

/* `count` times port 80 of IPv4. */
static int unpack_ports(size_t count)
{
	static Podgraft__V1__Port port = PODGRAFT__V1__PORT__INIT;
	static Podgraft__V1__Port *list[PG_PORTS_MAX + 1];
	static uint8_t bytes[PG_FRAME_MAX];
	port.port = 80;
	port.family = 4;
	for (size_t i = 0; i < count; i++)
		list[i] = &port;
	Podgraft__V1__Ports ports = PODGRAFT__V1__PORTS__INIT;
	ports.n_ports = count;
	ports.ports = list;
	Podgraft__V1__Control m = PODGRAFT__V1__CONTROL__INIT, *got = NULL;
	m.request = 1;
	m.body_case = PODGRAFT__V1__CONTROL__BODY_PORTS;
	m.ports = &ports;
	int n = pg_msg_pack(&m, bytes, sizeof(bytes));
	assert_true(n > 0);
	int rc = pg_msg_unpack(bytes, (size_t)n, &got, NULL);
	if (rc == 0)
		assert_int_equal(got->ports->n_ports, count);
	pg_msg_free(got);
	return rc;
}

static void ports_are_counted(void **state)
{
	(void)state;
	assert_int_equal(unpack_ports(PG_PORTS_MAX), 0);
	assert_int_equal(unpack_ports(PG_PORTS_MAX + 1), -EPROTO);
}

static void packing_wants_room(void **state)
{
	(void)state;
	uint8_t buf[64];
	Podgraft__V1__RedirectStop stop = PODGRAFT__V1__REDIRECT_STOP__INIT;
	stop.redirect = 9;
	Podgraft__V1__Control m = PODGRAFT__V1__CONTROL__INIT, *got = NULL;
	m.request = 3;
	m.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_STOP;
	m.redirect_stop = &stop;
	int n = pg_msg_pack(&m, buf, sizeof(buf));
	assert_int_equal(n, 6);
	assert_int_equal(pg_msg_pack(&m, buf, (size_t)n - 1), -ENOBUFS);
	assert_int_equal(pg_msg_pack(&m, buf, (size_t)n), n);
	assert_int_equal(pg_msg_unpack(buf, (size_t)n, &got, NULL), 0);
	assert_int_equal(got->request, 3);
	assert_int_equal(got->redirect_stop->redirect, 9);
	pg_msg_free(got);

	Podgraft__V1__Open o = PODGRAFT__V1__OPEN__INIT;
	assert_int_equal(pg_open_pack(&o, buf, sizeof(buf)), 0);
	o.redirect = 1;
	assert_int_equal(pg_open_pack(&o, buf, 1), -ENOBUFS);
}

/* Whichever allocation fails, the answer is -ENOMEM and nothing leaks (the asan preset looks). */
static void every_allocation_may_fail(void **state)
{
	(void)state;
	const struct msg_case *c = &controls[1];
	for (size_t nth = 0;; nth++) {
		Podgraft__V1__Control *m = NULL;
		pg_mem_fail_after(nth);
		int rc = pg_msg_unpack((const uint8_t *)c->bytes, c->n, &m, NULL);
		int failed = pg_mem_failed();
		pg_mem_fail_after((size_t)-1);
		assert_int_equal(rc, failed ? -ENOMEM : 0);
		pg_msg_free(m);
		if (!failed)
			break;
		assert_true(nth < 100);
	}
}

int main(void)
{
	struct CMUnitTest tests[4 + PG_LEN(controls) + PG_LEN(opens)] = {
		cmocka_unit_test(size_is_capped_before_unpacking),
		cmocka_unit_test(ports_are_counted),
		cmocka_unit_test(packing_wants_room),
		cmocka_unit_test(every_allocation_may_fail),
	};
	struct CMUnitTest *t = tests + 4;
	for (size_t i = 0; i < PG_LEN(controls); i++)
		*t++ = (struct CMUnitTest){ controls[i].name, unpacks_control, NULL, NULL,
					    &controls[i] };
	for (size_t i = 0; i < PG_LEN(opens); i++)
		*t++ = (struct CMUnitTest){ opens[i].name, unpacks_open, NULL, NULL, &opens[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
