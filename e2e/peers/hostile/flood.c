/* Somebody in the pod who wants the agent to serve nobody: connects at a fixed rate for a bounded
 * time, and behaves badly on every connection, in one manner or in all of them in turn.
 *
 *	flood HOST PORT MANNER RATE SECONDS [LAPTOP-KEY]
 *
 * Prints "flooding" once it has begun, and at the end, which TERM brings, too, one JSON object. A
 *connection stays open until the other side ends it, or until OPEN_MOST are: then the oldest is
 *reset. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "e2e/peers/util.h"

enum {
	OPEN_MOST = 3000,
	RATE_MOST = 5000,
	SECONDS_MOST = 60,
	TRICKLE_US = 200000,
	REPLY_MOST = 2048,
	HUGE_BYTES = 65536,
};

enum manner { GARBAGE, SILENT, SLOW, HUGE, CHALLENGES, PROOFS, MANNERS };

static const char *const manner_names[MANNERS] = { "garbage", "silent",     "slow",
						   "huge",    "challenges", "proofs" };

struct one {
	int fd; /* -1: free */
	enum manner manner;
	size_t sent; /* of `slow` */
	size_t len;
	char reply[REPLY_MOST + 1];
};

struct flood {
	struct address to;
	const char *laptop_key;
	int epoll;
	struct one *all; /* OPEN_MOST of them, used in turn */
	size_t next;
	uint64_t begun, refused, ended, answered, cut, lasted_ms;
};

static volatile sig_atomic_t is_enough; /* by TERM */

static void on_term(int signo)
{
	(void)signo;
	is_enough = 1;
}

static const char ask_challenge[] = "GET /v1/challenge HTTP/1.1\r\nHost: flood\r\n\r\n";
static const char slow_request[] = "POST /v1/link HTTP/1.1\r\nHost: flood\r\nX-Slow: ";

static void drop(struct one *o)
{
	close_reset(o->fd);
	o->fd = -1;
}

static void say(struct one *o, const void *bytes, size_t n)
{
	ssize_t sent = send(o->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)sent; /* a peer that takes no more is as good as one that does */
}

/* A proof that is good but for its signature: the most that a stranger can make an agent do. */
static void say_proof(struct flood *f, struct one *o)
{
	static const char sig[] = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
				  "AQEBAQEBAQEBAQEBAQEBAQ==";
	char text[1024];
	const char *nonce = strstr(o->reply, "\"nonce\":\"");
	if (!nonce)
		return;
	nonce += 9;
	int n = snprintf(
		text, sizeof(text),
		"POST /v1/link HTTP/1.1\r\nHost: flood\r\nConnection: Upgrade\r\n"
		"Upgrade: podgraft/1\r\nAuthorization: Podgraft key=\"%s\",nonce=\"%.44s\","
		"agent-nonce=\"%.44s\",version=\"0.1.0\","
		"session=\"AAAAAAAAAAAAAAAAAAAAAA==\",sig=\"%s\"\r\n\r\n",
		f->laptop_key, nonce, nonce, sig);
	say(o, text, (size_t)n);
	o->manner = SILENT;
}

/* The first words, as soon as it is connected. */
static void begin(struct flood *f, struct one *o)
{
	static char bytes[HUGE_BYTES];
	(void)f;
	switch (o->manner) {
	case GARBAGE:
		pattern_fill((uint8_t *)bytes, 1024, f->begun, 0);
		say(o, bytes, 1024);
		break;
	case HUGE:
		memset(bytes, 'h', sizeof(bytes));
		memcpy(bytes, slow_request, sizeof(slow_request) - 1);
		say(o, bytes, sizeof(bytes));
		break;
	case CHALLENGES:
	case PROOFS:
		say(o, ask_challenge, sizeof(ask_challenge) - 1);
		break;
	default:
		break;
	}
}

static void start_one(struct flood *f, enum manner manner)
{
	struct one *o = &f->all[f->next];
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = o };
	if (o->fd >= 0) {
		f->cut++;
		drop(o);
	}
	f->begun++;
	o->fd = dial_start(&f->to);
	if (o->fd < 0) {
		f->refused++;
		o->fd = -1;
		return;
	}
	f->next = (f->next + 1) % OPEN_MOST;
	o->manner = manner;
	o->sent = o->len = 0;
	epoll_ctl(f->epoll, EPOLL_CTL_ADD, o->fd, &event);
}

static void on_readable(struct flood *f, struct one *o)
{
	ssize_t n = recv(o->fd, o->reply + o->len, REPLY_MOST - o->len, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		f->ended++;
		drop(o);
		return;
	}
	f->answered += o->len == 0;
	o->len += (size_t)n;
	o->reply[o->len] = '\0';
	if (o->manner == PROOFS && strstr(o->reply, "}\n"))
		say_proof(f, o);
	if (o->len == REPLY_MOST)
		o->len = 1; /* keeps on reading */
}

static void on_event(struct flood *f, const struct epoll_event *event)
{
	struct one *o = event->data.ptr;
	if (o->fd < 0)
		return;
	if (event->events & EPOLLOUT && o->sent == 0) {
		o->sent = 1;
		begin(f, o);
	}
	on_readable(f, o);
}

/* One more byte on every connection that trickles. */
static void trickle(struct flood *f)
{
	for (size_t i = 0; i < OPEN_MOST; i++) {
		struct one *o = &f->all[i];
		if (o->fd < 0 || o->manner != SLOW || o->sent == 0)
			continue;
		const size_t last = sizeof(slow_request) - 2;
		say(o, &slow_request[o->sent - 1 < last ? o->sent - 1 : last], 1);
		o->sent++;
	}
}

static void run(struct flood *f, enum manner only, uint64_t rate, uint64_t seconds)
{
	int64_t start = now_us(), end = start + (int64_t)seconds * 1000000, trickled = start;
	for (int64_t now = start; now < end && !is_enough; now = now_us()) {
		uint64_t due = (uint64_t)(now - start) * rate / 1000000;
		struct epoll_event events[256];
		while (f->begun < due)
			start_one(f, only < MANNERS ? only : (enum manner)(f->begun % MANNERS));
		int n = epoll_wait(f->epoll, events, 256, 1);
		for (int i = 0; i < n; i++)
			on_event(f, &events[i]);
		if (now - trickled > TRICKLE_US) {
			trickled = now;
			trickle(f);
		}
	}
	f->lasted_ms = (uint64_t)(now_us() - start) / 1000;
}

/* The manner of that name, MANNERS for "all". */
static bool parse_manner(const char *name, enum manner *out)
{
	for (*out = 0; *out < MANNERS; (*out)++)
		if (strcmp(name, manner_names[*out]) == 0)
			return true;
	return strcmp(name, "all") == 0;
}

int main(int argc, char **argv)
{
	enum manner manner;
	uint64_t rate, seconds;
	struct flood f = { .laptop_key = argc > 6 ? argv[6] : "" };
	if (argc < 6 || !address_parse(argv[1], argv[2], &f.to) ||
	    !parse_manner(argv[3], &manner) || !parse_u64(argv[4], RATE_MOST, &rate) ||
	    !parse_u64(argv[5], SECONDS_MOST, &seconds)) {
		fprintf(stderr, "usage: flood HOST PORT MANNER RATE SECONDS [LAPTOP-KEY]\n");
		return 2;
	}
	raise_descriptor_limit();
	f.epoll = epoll_create1(EPOLL_CLOEXEC);
	f.all = calloc(OPEN_MOST, sizeof(*f.all));
	if (!f.all)
		return 1;
	for (size_t i = 0; i < OPEN_MOST; i++)
		f.all[i].fd = -1;
	signal(SIGTERM, on_term);
	printf("flooding\n");
	fflush(stdout);
	run(&f, manner, rate, seconds);
	printf("{\"begun\":%llu,\"refused\":%llu,\"answered\":%llu,\"ended\":%llu,\"cut\":%llu,"
	       "\"lasted_ms\":%llu}\n",
	       (unsigned long long)f.begun, (unsigned long long)f.refused,
	       (unsigned long long)f.answered, (unsigned long long)f.ended,
	       (unsigned long long)f.cut, (unsigned long long)f.lasted_ms);
	free(f.all);
	return 0;
}
