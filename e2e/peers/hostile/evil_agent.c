/* An agent that proves itself as it must, and then misbehaves in one manner: what the injector has
 * to bear from an image that is not what it says. The mode is the first word of its command line;
 * what podgraft writes for its agent follows.
 *
 *	evil-agent MODE agent --laptop-key KEY --pod-uid UID --container NAME ... */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "e2e/peers/hostile/evil.h"
#include "proto/wire/hello.h"

enum { REQUEST_MOST = 8192, BODY_MOST = 1 << 20 };

#define CLEAR "\x1b[2J\x1b]0;owned\x07\x9b" /* what a terminal would obey */

void evil_say(int fd, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	while (n > 0) {
		ssize_t sent = write(fd, p, n);
		if (sent < 0 && errno != EINTR)
			_exit(0); /* podgraft has had enough */
		if (sent > 0) {
			p += sent;
			n -= (size_t)sent;
		}
	}
}

void evil_drip(int fd, const char *text, size_t n)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	for (size_t i = 0;; i++) {
		evil_say(fd, i < n ? &text[i] : "a", 1);
		nanosleep(&pause, NULL);
	}
}

static void say_text(int fd, const char *text)
{
	evil_say(fd, text, strlen(text));
}

static void answer(int fd, const char *status, const char *body)
{
	char head[256];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu"
			 "\r\n\r\n",
			 status, strlen(body));
	evil_say(fd, head, (size_t)n);
	say_text(fd, body);
}

/* --- the first line of the log --- */

static void say_banner(const struct evil *e, uint16_t port)
{
	char key[PG_B64_KEY];
	pg_b64_encode(e->keys.pub, PG_KEY_BYTES, key);
	printf("podgraft-agent/1 listening on 127.0.0.1:%u key %s\n", port, key);
	fflush(stdout);
}

static void proper_banner(const struct evil *e)
{
	say_banner(e, e->port);
}

static void endless_banner(const struct evil *e)
{
	char block[4096];
	(void)e;
	memset(block, 'A', sizeof(block));
	for (int i = 0; i < 2 << 10; i++) /* 8 MiB, then it stays: a kubelet rotates at 10 */
		evil_say(STDOUT_FILENO, block, sizeof(block));
}

static void banner_that_steers(const struct evil *e)
{
	(void)e;
	printf("podgraft-agent: " CLEAR " all is well\n" CLEAR "\n");
	fflush(stdout);
}

/* A good banner, and behind it what podgraft status looks for. */
static void lying_log(const struct evil *e)
{
	say_banner(e, e->port);
	for (unsigned port = 1; port <= 20000; port++)
		printf("podgraft-agent: redirect of port %u by " CLEAR ": started (tproxy)\n",
		       port);
	fflush(stdout);
}

static void dripping_banner(const struct evil *e)
{
	(void)e;
	evil_drip(STDOUT_FILENO, "podgraft-agent/1 ", 17);
}

static void banner_of_the_apps_port(const struct evil *e)
{
	say_banner(e, 8080);
}

/* --- the control API --- */

static void challenge(const struct evil *e, int fd, const char *version, int protocol)
{
	char body[1024], key[PG_B64_KEY], nonce[PG_B64_KEY];
	uint8_t bytes[PG_NONCE_BYTES];
	pg_random(bytes, sizeof(bytes));
	pg_b64_encode(bytes, sizeof(bytes), nonce);
	pg_b64_encode(e->keys.pub, PG_KEY_BYTES, key);
	snprintf(body, sizeof(body),
		 "{\"nonce\":\"%s\",\"agent_key\":\"%s\",\"pod_uid\":\"%s\",\"container\":\"%s\","
		 "\"version\":\"%s\",\"protocol\":%d}",
		 nonce, key, e->pod_uid, e->container, version, protocol);
	answer(fd, "200 OK", body);
}

static void proper_challenge(const struct evil *e, int fd)
{
	challenge(e, fd, PG_VERSION, PG_PROTOCOL);
}

static void challenge_that_steers(const struct evil *e, int fd)
{
	challenge(e, fd, "\\u001b[2J\\u009b31m\\u0007\\n9", PG_PROTOCOL + 1);
}

static void refusal_that_steers(const struct evil *e, int fd)
{
	(void)e;
	answer(fd, "403 Forbidden",
	       "{\"error\":\"\\u001b[2J\\u001b]0;owned\\u0007\\u009b\","
	       "\"hint\":\"\\n\\rpodgraft: all is well\\u007f\"}");
}

static void endless_answer(const struct evil *e, int fd)
{
	(void)e;
	say_text(fd, "HTTP/1.1 200 OK\r\nX: ");
	for (;;)
		say_text(fd, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}

static void answer_of_a_terabyte(const struct evil *e, int fd)
{
	(void)e;
	say_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n{");
	for (;;)
		say_text(fd, "                                                                ");
}

static void dripping_answer(const struct evil *e, int fd)
{
	(void)e;
	evil_drip(fd, "HTTP/1.1 200 OK\r\nX: ", 20);
}

static void processes_that_steer(int fd)
{
	answer(fd, "200 OK",
	       "{\"processes\":[{\"pid\":1,\"ppid\":-9223372036854775808,\"uid\":0,"
	       "\"name\":\"\\u001b[2J\",\"command\":[]},"
	       "{\"pid\":7,\"uid\":\"zero\",\"command\":[\"\\u001b]0;owned\\u0007\",5,null,"
	       "\"a\\nb\\u009b\"]},[],\"\",7],"
	       "\"sockets\":[{\"protocol\":\"\\u001b[2J\",\"address\":\"\\r\\u0085::\","
	       "\"port\":99999999999,\"pid\":1},3],\"truncated\":7}");
}

/* Some 20,000 processes and as many sockets, all of one pid: each has all the sockets. */
static void processes_without_number(int fd)
{
	static char body[BODY_MOST];
	size_t n = (size_t)snprintf(body, sizeof(body), "{\"processes\":[{}");
	while (n < BODY_MOST / 16)
		n += (size_t)snprintf(body + n, sizeof(body) - n, ",{}");
	n += (size_t)snprintf(body + n, sizeof(body) - n, "],\"sockets\":[{}");
	while (n < BODY_MOST / 8)
		n += (size_t)snprintf(body + n, sizeof(body) - n, ",{}");
	snprintf(body + n, sizeof(body) - n, "]}");
	answer(fd, "200 OK", body);
}

static void processes_without_bottom(int fd)
{
	static char body[BODY_MOST];
	memset(body, '[', sizeof(body) - 1);
	answer(fd, "200 OK", body);
}

/* --- modes --- */

static const struct mode {
	const char *name;
	void (*banner)(const struct evil *e);
	void (*challenge)(const struct evil *e, int fd);
	void (*processes)(int fd);
	void (*link)(int fd); /* behind a good handshake, or NULL for a bad one */
} modes[] = {
	{ .name = "banner-endless", .banner = endless_banner },
	{ .name = "banner-steers", .banner = banner_that_steers },
	{ .name = "banner-drips", .banner = dripping_banner },
	{ .name = "banner-app", .banner = banner_of_the_apps_port },
	{ .name = "log-lies", .banner = lying_log, .challenge = refusal_that_steers },
	{ .name = "challenge-steers", .challenge = challenge_that_steers },
	{ .name = "refusal-steers", .challenge = refusal_that_steers },
	{ .name = "answer-endless", .challenge = endless_answer },
	{ .name = "answer-terabyte", .challenge = answer_of_a_terabyte },
	{ .name = "answer-drips", .challenge = dripping_answer },
	{ .name = "ps-steers", .processes = processes_that_steer },
	{ .name = "ps-many", .processes = processes_without_number },
	{ .name = "ps-deep", .processes = processes_without_bottom },
	{ .name = "proof-wrong" },
	{ .name = "link-garbage", .link = evil_garbage },
	{ .name = "link-drips", .link = evil_dripping_frame },
	{ .name = "holder-steers", .link = evil_holder_that_steers },
	{ .name = "ports-absurd", .link = evil_absurd_ports },
	{ .name = "open-flood", .link = evil_flood_of_opens },
	{ .name = "open-unknown", .link = evil_unknown_redirects },
	{ .name = "data-overrun", .link = evil_data_without_credit },
	{ .name = "told-flood", .link = evil_flood_of_news },
};

static const struct mode *find_mode(const char *name)
{
	for (size_t i = 0; i < PG_LEN(modes); i++)
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	return NULL;
}

/* --- connections --- */

/* The answer to the link: our signature over what the laptop has signed, if it is to be good. */
static void answer_link(const struct evil *e, int fd, const char *request, bool good)
{
	struct pg_statement st = { .purpose = PG_PURPOSE_LINK };
	uint8_t sig[PG_SIG_BYTES];
	char authz[PG_AUTHZ_MAX], proof[PG_B64_SIG], head[512];
	const char *at = strstr(request, "Authorization: ");
	if (!at)
		return;
	at += strlen("Authorization: ");
	snprintf(authz, sizeof(authz), "%.*s", (int)strcspn(at, "\r\n"), at);
	if (pg_authz_parse(authz, &st, sig) < 0)
		return;
	snprintf(st.pod_uid, sizeof(st.pod_uid), "%s", e->pod_uid);
	snprintf(st.container, sizeof(st.container), "%s", e->container);
	snprintf(st.agent_version, sizeof(st.agent_version), "%s", PG_VERSION);
	memcpy(st.agent_key, e->keys.pub, PG_KEY_BYTES);
	pg_statement_sign(&st, PG_ROLE_AGENT, &e->keys, sig);
	sig[0] ^= !good;
	pg_b64_encode(sig, sizeof(sig), proof);
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
			 "Upgrade: podgraft/1\r\nPodgraft-Proof: %s\r\n\r\n",
			 proof);
	evil_say(fd, head, (size_t)n);
}

static void serve_request(const struct evil *e, const struct mode *m, int fd, const char *request)
{
	if (strncmp(request, "GET /v1/challenge ", 18) == 0) {
		(m->challenge ? m->challenge : proper_challenge)(e, fd);
	} else if (strncmp(request, "GET /v1/processes ", 18) == 0 && m->processes) {
		m->processes(fd);
	} else if (strncmp(request, "POST /v1/link ", 14) == 0) {
		answer_link(e, fd, request, m->link != NULL);
		if (m->link)
			m->link(fd);
	}
}

static void serve(const struct evil *e, const struct mode *m, int fd)
{
	static char request[REQUEST_MOST];
	size_t n = 0;
	while (n < sizeof(request) - 1) {
		ssize_t got = read(fd, request + n, sizeof(request) - 1 - n);
		if (got <= 0)
			return;
		n += (size_t)got;
		request[n] = '\0';
		if (!strstr(request, "\r\n\r\n"))
			continue;
		serve_request(e, m, fd, request);
		n = 0;
	}
}

/* The word behind `name` on the command line, or "". */
static const char *option(char **argv, const char *name)
{
	for (; *argv; argv++)
		if (strcmp(*argv, name) == 0 && argv[1])
			return argv[1];
	return "";
}

int main(int argc, char **argv)
{
	const struct mode *m = argc > 1 ? find_mode(argv[1]) : NULL;
	struct evil e = { .pod_uid = option(argv, "--pod-uid"),
			  .container = option(argv, "--container") };
	int listener = m ? evil_listen(&e.port) : -1;
	if (listener < 0 || pg_auth_init() < 0) {
		fprintf(stderr, "usage: evil-agent MODE agent --pod-uid UID --container NAME\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN); /* no zombies */
	pg_keys_make(&e.keys);
	(m->banner ? m->banner : proper_banner)(&e);
	for (;;) {
		int fd = evil_accept(listener);
		if (fd >= 0 && fork() == 0) {
			serve(&e, m, fd);
			_exit(0);
		}
		close(fd);
	}
}
