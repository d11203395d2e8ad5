#include "e2e/peers/server.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "e2e/peers/util.h"

#define LISTENERS_MAX    32
#define READ_SIZE        65536
#define OUT_MAX          ((size_t)4 << 20) /* kept for one peer at most: it pipelines and never reads */
#define ACCEPTS_PER_TURN 64

struct server {
	int epoll;
	struct listener listeners[LISTENERS_MAX];
	int count;
	struct conn *slow;
	struct conn *dead; /* freed when the turn is over: later events may still name them */
	bool any_paused;
	uint8_t buffer[READ_SIZE];
};

size_t conn_waiting(const struct conn *c)
{
	return c->out_len - c->out_at;
}

static void unlink_slow(struct conn *c)
{
	if (!c->slow)
		return;
	if (c->slow_prev)
		c->slow_prev->slow_next = c->slow_next;
	else
		c->from->server->slow = c->slow_next;
	if (c->slow_next)
		c->slow_next->slow_prev = c->slow_prev;
	c->slow = false;
}

static void bury(struct conn *c)
{
	struct server *s = c->from->server;

	unlink_slow(c);
	c->dead = true;
	c->slow_next = s->dead; /* the link is free now */
	s->dead = c;
}

static void conn_close(struct conn *c)
{
	if (c->dead)
		return;
	close(c->fd);
	bury(c);
}

void conn_reset(struct conn *c)
{
	if (c->dead)
		return;
	close_reset(c->fd);
	bury(c);
}

void conn_slow(struct conn *c)
{
	struct server *s = c->from->server;

	c->slow = true;
	c->hold = true;
	c->wake_us = now_us();
	c->slow_next = s->slow;
	if (s->slow)
		s->slow->slow_prev = c;
	s->slow = c;
}

static bool keep(struct conn *c, const uint8_t *bytes, size_t n)
{
	size_t waiting = conn_waiting(c);

	if (waiting + n > OUT_MAX)
		return false;
	if (c->out_at > 0 && waiting > 0)
		memmove(c->out, c->out + c->out_at, waiting);
	c->out_at = 0;
	c->out_len = waiting;
	if (waiting + n > c->out_cap) {
		size_t cap = (waiting + n) * 2;
		uint8_t *grown = realloc(c->out, cap);
		if (!grown)
			return false;
		c->out = grown;
		c->out_cap = cap;
	}
	memcpy(c->out + waiting, bytes, n);
	c->out_len += n;
	return true;
}

void conn_send(struct conn *c, const void *bytes, size_t n)
{
	const uint8_t *b = bytes;

	if (c->dead || n == 0)
		return;
	if (conn_waiting(c) == 0) {
		ssize_t sent = send(c->fd, b, n, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN && errno != EINTR) {
			conn_close(c);
			return;
		}
		if (sent > 0) {
			b += sent;
			n -= (size_t)sent;
		}
	}
	if (n > 0 && !keep(c, b, n))
		conn_reset(c);
}

static void flush(struct conn *c)
{
	while (conn_waiting(c) > 0) {
		ssize_t sent = send(c->fd, c->out + c->out_at, conn_waiting(c), MSG_NOSIGNAL);
		if (sent < 0) {
			if (errno != EAGAIN && errno != EINTR)
				conn_close(c);
			return;
		}
		c->out_at += (size_t)sent;
	}
	free(c->out);
	c->out = NULL;
	c->out_at = c->out_len = c->out_cap = 0;
}

/* After every event: sends our FIN or closes when it is time, and tells epoll what matters now. */
static void settle(struct conn *c)
{
	uint32_t want = 0;

	if (c->dead)
		return;
	if (conn_waiting(c) == 0 && !c->produce) {
		if (c->finish && !c->finished) {
			(void)shutdown(c->fd, SHUT_WR);
			c->finished = true;
		}
		if (c->end) {
			conn_close(c);
			return;
		}
	}
	if (conn_waiting(c) > 0 || c->produce)
		want |= EPOLLOUT;
	else if (!c->eof && !c->hold)
		want |= EPOLLIN;
	if (want != c->events) {
		struct epoll_event event = { .events = want, .data.ptr = c };
		c->events = want;
		(void)epoll_ctl(c->from->server->epoll, EPOLL_CTL_MOD, c->fd, &event);
	}
}

static void read_some(struct conn *c, size_t at_most)
{
	struct server *s = c->from->server;
	ssize_t n = recv(c->fd, s->buffer, at_most, 0);

	if (n > 0) {
		if (c->from->mode->data)
			c->from->mode->data(c, s->buffer, (size_t)n);
	} else if (n == 0) {
		c->eof = true;
		unlink_slow(c);
		if (c->from->mode->eof)
			c->from->mode->eof(c);
	} else if (errno != EAGAIN && errno != EINTR) {
		conn_close(c);
	}
}

static void conn_event(struct conn *c, uint32_t events)
{
	if (c->dead)
		return;
	if ((events & EPOLLERR) || ((events & EPOLLHUP) && !(c->events & EPOLLIN))) {
		conn_close(c);
		return;
	}
	if (events & EPOLLOUT) {
		flush(c);
		if (!c->dead && c->produce && conn_waiting(c) == 0)
			c->from->mode->more(c);
	}
	if (!c->dead && (events & (EPOLLIN | EPOLLHUP)) && conn_waiting(c) == 0)
		read_some(c, READ_SIZE);
	settle(c);
}

static void listener_watch(struct listener *l, bool on)
{
	struct epoll_event event = { .events = on ? EPOLLIN : 0, .data.ptr = l };

	l->paused = !on;
	l->server->any_paused |= !on;
	(void)epoll_ctl(l->server->epoll, EPOLL_CTL_MOD, l->fd, &event);
}

static void welcome(struct listener *l, int fd)
{
	int one = 1;
	struct conn *c = calloc(1, sizeof(*c));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

	if (!c) {
		close(fd);
		return;
	}
	c->from = l;
	c->fd = fd;
	c->events = EPOLLIN;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(l->server->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		conn_close(c);
		return;
	}
	if (l->mode->open)
		l->mode->open(c);
	settle(c);
}

static void accept_some(struct listener *l)
{
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			welcome(l, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			listener_watch(l, false);
		if (fd < 0)
			return;
	}
}

static void datagram(struct listener *l)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	ssize_t n =
		recvfrom(l->fd, l->server->buffer, READ_SIZE, 0, (struct sockaddr *)&from, &len);

	if (n >= 0)
		(void)sendto(l->fd, l->server->buffer, (size_t)n, 0, (struct sockaddr *)&from, len);
}

/* Slow readers and paused listeners wait for the clock, not for the socket. */
static void tick(struct server *s)
{
	int64_t now = now_us();

	for (struct conn *c = s->slow, *next; c; c = next) {
		next = c->slow_next;
		if (now < c->wake_us || conn_waiting(c) > 0)
			continue;
		c->wake_us = now + (int64_t)c->from->number[0] * 1000;
		read_some(c, (size_t)c->from->number[1]);
		settle(c);
	}
	if (s->any_paused) {
		s->any_paused = false;
		for (int i = 0; i < s->count; i++)
			if (s->listeners[i].paused)
				listener_watch(&s->listeners[i], true);
	}
}

static void free_dead(struct server *s)
{
	for (struct conn *c = s->dead, *next; c; c = next) {
		next = c->slow_next;
		free(c->out);
		free(c->text);
		free(c);
	}
	s->dead = NULL;
}

static bool is_listener(const struct server *s, const void *p)
{
	return (const char *)p >= (const char *)s->listeners &&
	       (const char *)p < (const char *)(s->listeners + LISTENERS_MAX);
}

static int loop(struct server *s)
{
	struct epoll_event events[256];

	for (;;) {
		int timeout_ms = s->slow ? 5 : s->any_paused ? 100 : -1;
		int n = epoll_wait(s->epoll, events, 256, timeout_ms);
		if (n < 0 && errno != EINTR)
			return 1;
		for (int i = 0; i < n; i++) {
			struct listener *l = events[i].data.ptr;
			if (!is_listener(s, l))
				conn_event(events[i].data.ptr, events[i].events);
			else if (l->mode->udp)
				datagram(l);
			else
				accept_some(l);
		}
		tick(s);
		free_dead(s);
	}
}

/* --- listeners --- */

static int listen_at(const struct listener *l, const char *host)
{
	struct address at;
	char port[8];
	int off = 0, on = 1, small = 4096;
	int kind = (l->mode->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;

	snprintf(port, sizeof(port), "%u", l->port);
	if (!address_parse(host ? host : "::", port, &at))
		return -EINVAL;
	int fd = socket(at.store.ss_family, kind, 0);
	if (fd < 0 && !host && address_parse("0.0.0.0", port, &at))
		fd = socket(at.store.ss_family, kind, 0); /* a kernel without IPv6 */
	if (fd < 0)
		return -errno;
	if (at.store.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (strcmp(l->mode->name, "stall") == 0) /* the window closes soon */
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (bind(fd, (struct sockaddr *)&at.store, at.len) < 0 ||
	    (!l->mode->udp && listen(fd, 4096) < 0)) {
		int code = errno;
		close(fd);
		return -code;
	}
	return fd;
}

/* "mode:port[:argument[:argument]]", taken apart in place. */
static bool parse_spec(char *spec, struct listener *l)
{
	char *rest = spec, *name = strsep(&rest, ":"), *port = strsep(&rest, ":");
	uint64_t number;

	l->mode = NULL;
	for (size_t i = 0; i < mode_count; i++)
		if (strcmp(modes[i].name, name) == 0)
			l->mode = &modes[i];
	if (!l->mode || !parse_u64(port, 65535, &number) || number == 0)
		return false;
	l->port = (uint16_t)number;
	l->name = l->mode->named && rest && *rest ? strsep(&rest, ":") : "peer";
	memcpy(l->number, l->mode->preset, sizeof(l->number));
	for (int i = 0; i < l->mode->numbers && rest; i++)
		if (!parse_u64(strsep(&rest, ":"), 1 << 30, &l->number[i]))
			return false;
	if (strcmp(l->mode->name, "slow") == 0 && (l->number[1] == 0 || l->number[1] > READ_SIZE))
		return false;
	return rest == NULL;
}

static void end(int number)
{
	(void)number;
	_exit(0);
}

int serve(const char *address, char **specs, int count)
{
	static struct server s; /* zeroed, and too large for the stack */
	struct sigaction on_end = { .sa_handler = end };

	sigaction(SIGTERM, &on_end, NULL); /* process 1 has no default action */
	sigaction(SIGINT, &on_end, NULL);
	raise_descriptor_limit();
	setvbuf(stdout, NULL, _IOLBF, 0);
	s.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s.epoll < 0 || count > LISTENERS_MAX) {
		fprintf(stderr, "peer: at most %d listeners\n", LISTENERS_MAX);
		return 1;
	}
	for (int i = 0; i < count; i++) {
		struct listener *l = &s.listeners[s.count++];
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = l };

		if (!parse_spec(specs[i], l)) {
			fprintf(stderr, "peer: '%s' is no MODE:PORT[:ARGUMENT]; see peer help\n",
				specs[i]);
			return 2;
		}
		l->server = &s;
		l->fd = listen_at(l, address);
		if (l->fd < 0 || epoll_ctl(s.epoll, EPOLL_CTL_ADD, l->fd, &event) < 0) {
			fprintf(stderr, "peer: port %u: %s\n", l->port, strerror(-l->fd));
			return 1;
		}
		printf("{\"event\":\"listening\",\"mode\":\"%s\",\"port\":%u}\n", l->mode->name,
		       l->port);
	}
	return loop(&s);
}
