/* What an evil agent does once it is linked. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "e2e/peers/hostile/evil.h"
#include "proto/base/auto.h"
#include "proto/wire/frame.h"
#include "proto/wire/msg.h"

enum { OPENS = 1 << 15, NEWS = 200000, PORTS = 5000, OVERRUN = 1000 };

int evil_listen(uint16_t *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, 16) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return -1;
	*port = ntohs(at.sin_port);
	return fd;
}

int evil_accept(int listener)
{
	return accept(listener, NULL, NULL);
}

/* --- frames --- */

static void say_frame(int fd, enum pg_frame_type type, uint32_t stream, const void *p, size_t n)
{
	uint8_t bytes[PG_FRAME_HDR + PG_FRAME_MAX];
	struct pg_frame f = { .type = type, .stream = stream, .len = (uint16_t)n };
	pg_frame_encode(&f, bytes);
	if (n > 0)
		memcpy(bytes + PG_FRAME_HDR, p, n);
	evil_say(fd, bytes, PG_FRAME_HDR + n);
}

static void say_control(int fd, const Podgraft__V1__Control *msg)
{
	uint8_t bytes[PG_FRAME_MAX];
	int n = pg_msg_pack(msg, bytes, sizeof(bytes));
	if (n > 0)
		say_frame(fd, PG_F_CONTROL, 0, bytes, (size_t)n);
}

static bool read_all(int fd, uint8_t *to, size_t n)
{
	while (n > 0) {
		ssize_t got = read(fd, to, n);
		if (got <= 0)
			return false;
		to += got;
		n -= (size_t)got;
	}
	return true;
}

/* The next frame that is no PING, which is answered. False at the end. */
static bool next_frame(int fd, struct pg_frame *f, uint8_t payload[PG_FRAME_MAX])
{
	uint8_t head[PG_FRAME_HDR];
	for (;;) {
		if (!read_all(fd, head, sizeof(head)) ||
		    pg_frame_decode(head, sizeof(head), f) <= 0 || !read_all(fd, payload, f->len))
			return false;
		if (f->type != PG_F_PING)
			return true;
		say_frame(fd, PG_F_PONG, 0, payload, f->len);
	}
}

static void say_status(int fd, uint32_t request, Podgraft__V1__RedirectStatus *status)
{
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	msg.request = request;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_STATUS;
	msg.redirect_status = status;
	say_control(fd, &msg);
}

static void say_state(int fd, uint32_t request, uint32_t redirect,
		      Podgraft__V1__RedirectState state)
{
	Podgraft__V1__RedirectStatus status = PODGRAFT__V1__REDIRECT_STATUS__INIT;
	status.redirect = redirect;
	status.state = state;
	status.text = (char *)"tproxy";
	say_status(fd, request, &status);
}

/* Answers as a good agent would, as long as `until` is not seen on `stream`. False at the end. */
static bool be_good_until(int fd, enum pg_frame_type until, uint32_t stream, uint8_t *first_byte)
{
	static uint8_t payload[PG_FRAME_MAX];
	Podgraft__V1__Control *msg;
	struct pg_frame f;
	while (next_frame(fd, &f, payload)) {
		*first_byte = payload[0];
		if (f.type == until && f.stream == stream && until != PG_F_CONTROL)
			return true;
		if (f.type != PG_F_CONTROL || pg_msg_unpack(payload, f.len, &msg, NULL) < 0)
			continue;
		if (msg->body_case == PODGRAFT__V1__CONTROL__BODY_REDIRECT_START)
			say_state(fd, msg->request, msg->redirect_start->redirect,
				  PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_ARMED);
		if (msg->body_case == PODGRAFT__V1__CONTROL__BODY_REDIRECT_STOP)
			say_state(fd, msg->request, msg->redirect_stop->redirect,
				  PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_STOPPED);
		bool started = msg->body_case == PODGRAFT__V1__CONTROL__BODY_REDIRECT_START;
		pg_msg_free(msg);
		if (started && until == PG_F_CONTROL)
			return true;
	}
	return false;
}

/* Arms the first redirect that is asked for. */
static bool arm(int fd)
{
	uint8_t unused;
	return be_good_until(fd, PG_F_CONTROL, 0, &unused);
}

static void be_good(int fd)
{
	uint8_t unused;
	be_good_until(fd, PG_F_ILLEGAL, 0, &unused);
}

/* Reads questions until the first one of that kind: its number, 0 at the end. */
static uint32_t await_question(int fd, Podgraft__V1__Control__BodyCase kind)
{
	static uint8_t payload[PG_FRAME_MAX];
	Podgraft__V1__Control *msg;
	struct pg_frame f;
	while (next_frame(fd, &f, payload)) {
		if (f.type != PG_F_CONTROL || pg_msg_unpack(payload, f.len, &msg, NULL) < 0)
			continue;
		uint32_t request = msg->body_case == kind ? msg->request : 0;
		pg_msg_free(msg);
		if (request > 0)
			return request;
	}
	return 0;
}

static void say_open(int fd, uint32_t stream, uint32_t redirect)
{
	static uint8_t address[4] = { 10, 0, 0, 9 };
	uint8_t bytes[PG_OPEN_MAX];
	Podgraft__V1__Open open = PODGRAFT__V1__OPEN__INIT;
	open.redirect = redirect;
	open.peer_address = open.local_address = (ProtobufCBinaryData){ 4, address };
	open.peer_port = open.local_port = 8080;
	int n = pg_open_pack(&open, bytes, sizeof(bytes));
	say_frame(fd, PG_F_OPEN, stream, bytes, (size_t)n);
}

/* --- the manners --- */

void evil_garbage(int fd)
{
	uint8_t bytes[4096];
	if (!arm(fd))
		return;
	pg_random(bytes, sizeof(bytes));
	bytes[0] = 0; /* no frame begins so */
	evil_say(fd, bytes, sizeof(bytes));
	be_good(fd);
}

/* A frame of 32 KiB that would take an hour: always a sign of life, never an answer. */
void evil_dripping_frame(int fd)
{
	evil_drip(fd, "\x09\x00\x80\x00\x00\x00\x00\x00", 8);
}

void evil_holder_that_steers(int fd)
{
	Podgraft__V1__RedirectStatus status = PODGRAFT__V1__REDIRECT_STATUS__INIT;
	uint32_t request = await_question(fd, PODGRAFT__V1__CONTROL__BODY_REDIRECT_START);
	status.redirect = 1;
	status.state = PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_FAILED;
	status.code = EBUSY;
	status.holder = (char *)"ann\x1b[2J\x1b]0;owned\x07";
	say_status(fd, request, &status);
	be_good(fd);
}

void evil_absurd_ports(int fd)
{
	static Podgraft__V1__Port ports[PORTS], *list[PORTS];
	Podgraft__V1__Ports body = PODGRAFT__V1__PORTS__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	for (size_t i = 0; i < PORTS; i++) {
		podgraft__v1__port__init(&ports[i]);
		ports[i].port = 1 + (uint32_t)i;
		list[i] = &ports[i];
	}
	body.n_ports = PORTS;
	body.ports = list;
	msg.request = await_question(fd, PODGRAFT__V1__CONTROL__BODY_PORTS_REQUEST);
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_PORTS;
	msg.ports = &body;
	say_control(fd, &msg);
	be_good(fd);
}

/* More connections than anybody could serve, and nothing that comes back is read. */
void evil_flood_of_opens(int fd)
{
	if (!arm(fd))
		return;
	for (uint32_t i = 1; i <= OPENS; i++)
		say_open(fd, 2 * i, 1);
	be_good(fd);
}

/* Redirects that nobody has asked for: what the laptop says to each goes to the log. */
void evil_unknown_redirects(int fd)
{
	static const uint32_t redirects[] = { 2, 77, INT32_MAX };
	uint8_t reason;
	if (!arm(fd))
		return;
	for (uint32_t i = 0; i < PG_LEN(redirects); i++) {
		say_open(fd, 2 + 2 * i, redirects[i]);
		say_frame(fd, PG_F_DATA, 2 + 2 * i, "GET / HTTP/1.1\r\n\r\n", 18);
		if (!be_good_until(fd, PG_F_RESET, 2 + 2 * i, &reason))
			return;
		printf("redirect %u: reset, %s\n", redirects[i],
		       pg_reset_name((enum pg_reset)reason));
		fflush(stdout);
	}
	be_good(fd);
}

void evil_data_without_credit(int fd)
{
	static uint8_t bytes[PG_FRAME_MAX];
	if (!arm(fd))
		return;
	say_open(fd, 2, 1);
	for (int i = 0; i < OVERRUN; i++)
		say_frame(fd, PG_F_DATA, 2, bytes, sizeof(bytes));
	be_good(fd);
}

/* Says of the redirect that it is parked, and that it is not, 200,000 times. */
void evil_flood_of_news(int fd)
{
	if (!arm(fd))
		return;
	for (int i = 0; i < NEWS; i++)
		say_state(fd, 0, 1,
			  i % 2 ? PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_ARMED
				: PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_PARKED);
	be_good(fd);
}
