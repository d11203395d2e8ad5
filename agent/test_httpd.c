#include "agent/test_api.h"

#include <sys/resource.h>

/* How the server treats connections: links, trickles, crowds, shortages. */

/* --- links --- */

/* Sends a good request for a link and `extra` behind it in the same bytes; leaves the answer in
 * `r`, returns the socket. */
static int open_link(struct fixture *f, const char *extra, struct pg_statement *st, struct reply *r)
{
	char authz[PG_AUTHZ_MAX], request[1024];
	prepare(f, PG_PURPOSE_LINK, st);
	sign(f, st, authz);
	link_request(authz, request, sizeof(request));
	snprintf(request + strlen(request), sizeof(request) - strlen(request), "%s", extra);
	int fd = dial(f);
	say(fd, request);
	listen_for(f, fd, r);
	return fd;
}

static void a_link_is_proved_by_both_sides(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	int fd = open_link(f, "first bytes", &st, &r);
	assert_int_equal(r.status, 101);
	assert_non_null(strstr(r.text, "\r\nUpgrade: podgraft/1\r\n"));
	const char *proof = strstr(r.text, "\r\nPodgraft-Proof: ");
	assert_non_null(proof);
	char text[PG_B64_SIG] = "";
	uint8_t sig[PG_SIG_BYTES];
	memcpy(text, proof + strlen("\r\nPodgraft-Proof: "), PG_B64_SIG - 1);
	assert_int_equal(pg_b64_decode(text, sig, sizeof(sig)), 0);
	assert_int_equal(pg_statement_verify(&st, PG_ROLE_AGENT, sig), 0);

	assert_int_equal(f->linked, 1);
	assert_memory_equal(f->session, st.session, PG_SESSION_BYTES);
	assert_int_equal(f->extra_len, strlen("first bytes"));
	assert_memory_equal(f->extra, "first bytes", f->extra_len);
	close(fd);
}

/* The socket is the callee's alone: nonblocking, close-on-exec, and the server neither reads from
 * it nor ends it at the deadline. */
static void a_link_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	char text[16] = "";
	int fd = open_link(f, "", &st, &r);
	assert_int_equal(f->linked, 1);
	assert_int_equal(f->extra_len, 0);
	assert_true(fcntl(f->link_fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(f->link_fd, F_GETFD) & FD_CLOEXEC);
	for (uint64_t end = now_ms() + PG_HTTPD_DEADLINE_MS + 200; now_ms() < end;) {
		pump(f);
		uv_sleep(5);
	}
	say(fd, "up");
	pump(f);
	assert_int_equal(recv(f->link_fd, text, sizeof(text), 0), 2);
	assert_int_equal(send(f->link_fd, "down", 4, MSG_NOSIGNAL), 4);
	pump(f);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 4);
	assert_string_equal(text, "down");
	shutdown(fd, SHUT_WR);
	assert_int_equal(recv(f->link_fd, text, sizeof(text), 0), 0);
	close(fd);
}

/* Nobody else holds the socket: when the callee closes it, the laptop hears of it. */
static void a_link_ends_when_it_is_closed(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	char byte;
	int fd = open_link(f, "", &st, &r);
	assert_int_equal(f->linked, 1);
	close(f->link_fd);
	f->link_fd = -1;
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
	close(fd);
}

static void a_link_wants_the_upgrade(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	char authz[PG_AUTHZ_MAX], request[1024];
	prepare(f, PG_PURPOSE_LINK, &st);
	sign(f, &st, authz);
	snprintf(request, sizeof(request),
		 "POST /v1/link HTTP/1.1\r\nHost: a\r\nAuthorization: %s\r\n\r\n", authz);
	ask(f, request, &r);
	assert_int_equal(r.status, 426);
	assert_non_null(strstr(r.text, "Upgrade: podgraft/1"));
	assert_int_equal(f->linked, 0);
}

/* The laptop is gone before its answer: nobody is told of a link. */
static void a_link_may_vanish(void **state)
{
	struct fixture *f = *state;
	struct pg_statement st;
	static struct reply r;
	char authz[PG_AUTHZ_MAX], request[1024];
	for (int i = 0; i < 20; i++) {
		prepare(f, PG_PURPOSE_LINK, &st);
		sign(f, &st, authz);
		link_request(authz, request, sizeof(request));
		int fd = dial(f);
		say(fd, request);
		struct linger now = { .l_onoff = 1, .l_linger = 0 };
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		for (int turns = i % 4; turns > 0; turns--)
			pump(f);
		close(fd);
	}
	get(f, "/v1/health", &r);
	assert_int_equal(r.status, 200);
}

/* --- many, and bad ones --- */

enum { TRICKLERS = 64 };

static void tricklers_bother_nobody_and_are_ended(void **state)
{
	struct fixture *f = *state;
	static struct reply r;
	int fds[TRICKLERS];
	unsigned ended = 0;
	uint64_t start = now_ms(), next_byte = start, next_request = start;
	for (int i = 0; i < TRICKLERS; i++)
		fds[i] = dial(f);
	while (ended < TRICKLERS) {
		uint64_t now = now_ms();
		assert_true(now - start < PG_HTTPD_DEADLINE_MS + 500);
		if (now >= next_byte) {
			for (int i = 0; i < TRICKLERS; i++)
				send(fds[i], "G", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
			next_byte += 1000;
		}
		if (now >= next_request) {
			get(f, "/v1/health", &r);
			assert_int_equal(r.status, 200);
			assert_true(now_ms() - now < 300);
			next_request += 500;
		}
		pump(f);
		ended = 0;
		for (int i = 0; i < TRICKLERS; i++) {
			char byte;
			ssize_t got = recv(fds[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK);
			ended += got == 0 || (got < 0 && errno != EAGAIN);
		}
		uv_sleep(2);
	}
	assert_true(now_ms() - start >= PG_HTTPD_DEADLINE_MS - 100);
	for (int i = 0; i < TRICKLERS; i++)
		close(fds[i]);
}

enum { CROWD = PG_HTTPD_CONNS + 40 };

/* More than there is room for: the oldest silent ones go, whoever asks is answered. */
static void a_crowd_is_served(void **state)
{
	struct fixture *f = *state;
	static struct reply r;
	int silent[CROWD], asking[CROWD];
	for (int i = 0; i < CROWD; i++)
		silent[i] = dial(f);
	for (int i = 0; i < CROWD / 10; i++)
		pump(f);
	for (int i = 0; i < CROWD; i++) {
		asking[i] = dial(f);
		say(asking[i],
		    "GET /v1/challenge HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	}
	for (int i = 0; i < CROWD; i++) {
		listen_for(f, asking[i], &r);
		assert_int_equal(r.status, 200);
		close(asking[i]);
	}
	char byte;
	assert_int_equal(recv(silent[0], &byte, 1, MSG_DONTWAIT), 0);
	for (int i = 0; i < CROWD; i++)
		close(silent[i]);
}

/* Without descriptors accepting pauses; it goes on once there are some. */
static void no_descriptors_left(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, none;
	static struct reply r;
	int fd = dial(f);
	say(fd, "GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (uint64_t end = now_ms() + 50; now_ms() < end;) {
		pump(f);
		uv_sleep(1);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	listen_for(f, fd, &r);
	assert_int_equal(r.status, 200);
	close(fd);
}

static void requests_larger_than_their_room_are_refused(void **state)
{
	struct fixture *f = *state;
	static struct reply r;
	static char request[64 * 1024];
	snprintf(request, sizeof(request), "GET /v1/health HTTP/1.1\r\nHost: a\r\nX: ");
	memset(request + strlen(request), 'x', sizeof(request) - strlen(request) - 1);
	int fd = dial(f);
	send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	listen_for(f, fd, &r);
	assert_true(r.status == 0 || (r.status >= 400 && r.status < 500));
	close(fd);
	get(f, "/v1/health", &r);
	assert_int_equal(r.status, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_link_is_proved_by_both_sides),
		TEST(a_link_is_left_alone),
		TEST(a_link_ends_when_it_is_closed),
		TEST(a_link_wants_the_upgrade),
		TEST(a_link_may_vanish),
		TEST(tricklers_bother_nobody_and_are_ended),
		TEST(a_crowd_is_served),
		TEST(no_descriptors_left),
		TEST(requests_larger_than_their_room_are_refused),
	};
	struct rlimit limit; /* a crowd takes more descriptors than shells allow at first */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
