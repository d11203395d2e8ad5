/* New connections at a fixed rate, a GET on each: who answered, how fast, and when nobody did. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "e2e/peers/client.h"

#define OPEN_MAX_    8192
#define NAMES_MAX    16
#define FAILURES_MAX 200
#define REPLY_MAX    4095

struct flow {
	struct flow *next, *prev; /* by age: the oldest times out first */
	int64_t began_us;
	int fd;
	bool sent;
	size_t len;
	char reply[REPLY_MAX + 1];
};

struct name {
	char text[64];
	uint64_t count;
	int64_t first_us, last_us; /* when the first and the last of its connections began */
};

struct failure {
	int64_t began_us, ended_us;
	int code;
	bool connected;
};

struct load {
	const struct call *call;
	int epoll;
	int64_t start_us, last_ok_us, longest_gap_us, gap_at_us;
	struct flow *oldest, *newest;
	uint64_t open, begun, ok, failed, late, *latency_us;
	size_t latency_cap;
	struct name names[NAMES_MAX];
	struct failure failures[FAILURES_MAX];
	char request[2048];
	size_t request_len;
};

static void gap_until(struct load *l, int64_t now)
{
	if (now - l->last_ok_us > l->longest_gap_us) {
		l->longest_gap_us = now - l->last_ok_us;
		l->gap_at_us = l->last_ok_us;
	}
	l->last_ok_us = now;
}

static void drop(struct load *l, struct flow *f)
{
	if (f->prev)
		f->prev->next = f->next;
	else
		l->oldest = f->next;
	if (f->next)
		f->next->prev = f->prev;
	else
		l->newest = f->prev;
	if (f->fd >= 0)
		close(f->fd);
	free(f);
	l->open--;
}

static void failed(struct load *l, struct flow *f, int code)
{
	if (l->failed < FAILURES_MAX)
		l->failures[l->failed] = (struct failure){ f->began_us, now_us(), code, f->sent };
	l->failed++;
	drop(l, f);
}

/* The "name" of the JSON body, else the Server header's, else "-". Only harmless characters. */
static void who(const char *reply, char *to, size_t cap)
{
	const char *at = strstr(reply, "\"name\":\"");
	size_t n = 0;

	if (at)
		at += 8;
	else if ((at = strstr(reply, "\r\nServer: ")))
		at += 10;
	for (; at && n < cap - 1 && (isalnum((unsigned char)*at) || strchr("-_./", *at)) && *at;
	     at++)
		to[n++] = *at;
	if (n == 0)
		to[n++] = '-';
	to[n] = '\0';
}

static void answered(struct load *l, struct flow *f)
{
	char text[64];
	int64_t now = now_us();
	struct name *name = l->names;

	who(f->reply, text, sizeof(text));
	/* One place for each name; the last place takes all that are too many. */
	while (name < l->names + NAMES_MAX - 1 && name->count && strcmp(name->text, text) != 0)
		name++;
	if (name->count++ == 0) {
		memcpy(name->text, text, sizeof(text));
		name->first_us = f->began_us;
	}
	if (f->began_us > name->last_us)
		name->last_us = f->began_us;
	if (l->ok < l->latency_cap)
		l->latency_us[l->ok] = (uint64_t)(now - f->began_us);
	l->ok++;
	gap_until(l, now);
	drop(l, f);
}

/* Whether head and body are complete. -1: the server said something other than 200. */
static int complete(const struct flow *f)
{
	const char *end = strstr(f->reply, "\r\n\r\n"),
		   *length = strcasestr(f->reply, "\r\ncontent-length:");
	uint64_t want;
	char number[24];

	if (!end)
		return 0;
	if (strncmp(f->reply, "HTTP/1.1 200", 12) != 0 || !length || length > end)
		return -1;
	length += 17;
	length += strspn(length, " ");
	snprintf(number, sizeof(number), "%.*s", (int)strcspn(length, "\r"), length);
	if (!parse_u64(number, REPLY_MAX, &want))
		return -1;
	return f->len - (size_t)(end + 4 - f->reply) >= want;
}

static void receive(struct load *l, struct flow *f)
{
	ssize_t n = recv(f->fd, f->reply + f->len, REPLY_MAX - f->len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		failed(l, f, n ? errno : 0);
		return;
	}
	f->len += (size_t)n;
	f->reply[f->len] = '\0';
	int whole = complete(f);
	if (whole > 0)
		answered(l, f);
	else if (whole < 0 || f->len == REPLY_MAX)
		failed(l, f, EBADMSG);
}

static void flow_event(struct load *l, struct flow *f)
{
	int code = 0;
	socklen_t len = sizeof(code);

	if (f->sent) {
		receive(l, f);
		return;
	}
	(void)getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &code, &len);
	if (code) {
		failed(l, f, code);
		return;
	}
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = f };
	f->sent = true;
	/* A fresh connection takes the few bytes of a request whole. */
	if (send(f->fd, l->request, l->request_len, MSG_NOSIGNAL) != (ssize_t)l->request_len)
		failed(l, f, errno);
	else
		(void)epoll_ctl(l->epoll, EPOLL_CTL_MOD, f->fd, &event);
}

static void begin(struct load *l)
{
	struct flow *f = calloc(1, sizeof(*f));

	if (!f)
		return;
	f->began_us = now_us();
	f->prev = l->newest;
	if (l->newest)
		l->newest->next = f;
	else
		l->oldest = f;
	l->newest = f;
	l->open++;
	l->begun++;
	f->fd = dial_start(&l->call->to);
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = f };
	if (f->fd < 0)
		failed(l, f, -f->fd);
	else if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, f->fd, &event) < 0)
		failed(l, f, errno);
}

static void run(struct load *l)
{
	struct epoll_event events[256];
	int64_t until = l->start_us + (int64_t)l->call->seconds * 1000000;
	int64_t timeout_us = (int64_t)l->call->timeout_ms * 1000, due = 0;
	uint64_t due_count = 0;

	for (;;) {
		int64_t now = now_us();
		bool over = now >= until || client_stop;

		while (l->oldest && now - l->oldest->began_us > timeout_us) {
			assert(!l->oldest->prev);
			failed(l, l->oldest, ETIMEDOUT);
		}
		if (over && l->open == 0)
			break;
		for (; !over &&
		       (due = l->start_us + (int64_t)(due_count * 1000000 / l->call->rate)) <= now;
		     due_count++) {
			if (l->open < OPEN_MAX_)
				begin(l);
			else
				l->late++;
		}
		int64_t wait_ms = over ? 20 : (due - now) / 1000;
		int n = epoll_wait(l->epoll, events, 256,
				   wait_ms > 20  ? 20
				   : wait_ms < 1 ? 1
						 : (int)wait_ms);
		for (int i = 0; i < n; i++)
			flow_event(l, events[i].data.ptr);
	}
	gap_until(l, client_stop || now_us() < until ? now_us()
		     : until > l->last_ok_us         ? until
						     : l->last_ok_us);
}

static void print(struct load *l)
{
	bool comma = false;

	printf("{\"ok\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"begun\":%" PRIu64 ",\"late\":%" PRIu64
	       ",\"names\":{",
	       l->ok, l->failed, l->begun, l->late);
	for (struct name *n = l->names; n < l->names + NAMES_MAX && n->count; n++) {
		printf("%s\"%s\":{\"count\":%" PRIu64 ",\"first_ms\":%" PRId64
		       ",\"last_ms\":%" PRId64 "}",
		       comma ? "," : "", n->text, n->count, (n->first_us - l->start_us) / 1000,
		       (n->last_us - l->start_us) / 1000);
		comma = true;
	}
	printf("},\"longest_gap_ms\":%" PRId64 ",\"gap_at_ms\":%" PRId64 ",",
	       l->longest_gap_us / 1000, (l->gap_at_us - l->start_us) / 1000);
	print_percentiles("us", l->latency_us, l->ok < l->latency_cap ? l->ok : l->latency_cap);
	printf(",\"failures\":[");
	for (uint64_t i = 0; i < l->failed && i < FAILURES_MAX && !l->call->brief; i++)
		printf("%s{\"begin_ms\":%" PRId64 ",\"end_ms\":%" PRId64
		       ",\"why\":\"%s\",\"stage\":\"%s\"}",
		       i ? "," : "", (l->failures[i].began_us - l->start_us) / 1000,
		       (l->failures[i].ended_us - l->start_us) / 1000, why(l->failures[i].code),
		       l->failures[i].connected ? "reply" : "connect");
	printf("],\"start_unix_ms\":%" PRId64 ",\"seconds\":%.3f}\n",
	       unix_ms() - (now_us() - l->start_us) / 1000, (double)(now_us() - l->start_us) / 1e6);
}

int client_load(const struct call *call)
{
	static struct load l;
	bool v6 = call->to.store.ss_family == AF_INET6;

	l.call = call;
	l.latency_cap = (size_t)(call->rate * call->seconds + 16);
	if (call->rate == 0 || l.latency_cap > 50000000)
		return 2;
	l.latency_us = calloc(l.latency_cap, sizeof(*l.latency_us));
	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!l.latency_us || l.epoll < 0)
		return 1;
	l.request_len = (size_t)snprintf(
		l.request, sizeof(l.request),
		"GET %.1024s HTTP/1.1\r\nHost: %s%s%s:%s\r\nConnection: close\r\n\r\n", call->path,
		v6 ? "[" : "", call->host, v6 ? "]" : "", call->port);
	l.start_us = l.last_ok_us = now_us();
	run(&l);
	print(&l);
	free(l.latency_us);
	return l.failed != 0;
}
