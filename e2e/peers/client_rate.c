/* New connections as fast as they go: each of some clients makes one after another, with a byte
 * there and back. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "e2e/peers/client.h"

enum { CLIENTS_MAX = 64 };

struct client {
	pthread_t thread;
	const struct call *call;
	int64_t until_us;
	uint64_t ok, late, failed, cap, *us; /* `us`: what each that went well took */
	int last_failure;                    /* errno; 0: the other end closed */
};

/* One connection: 0, or -errno. */
static int once(const struct call *call, uint8_t byte)
{
	uint8_t back = 0;
	int fd = dial(&call->to, (int)call->timeout_ms), code = fd < 0 ? fd : 0;

	if (!code)
		code = send_all(fd, &byte, 1);
	if (!code) {
		ssize_t n = recv(fd, &back, 1, 0);
		code = n < 0 ? -errno : n == 0 ? -ENODATA : back != byte ? -EBADMSG : 0;
	}
	if (fd >= 0)
		close(fd);
	return code;
}

static void *run(void *data)
{
	struct client *c = data;

	while (!client_stop && now_us() < c->until_us && c->ok + c->failed < c->cap) {
		int64_t start = now_us();
		int code = once(c->call, (uint8_t)c->ok);

		if (code) {
			c->failed++;
			c->last_failure = code == -ENODATA ? 0 : -code;
		} else {
			c->late += now_us() > c->until_us;
			c->us[c->ok++] = (uint64_t)(now_us() - start);
		}
	}
	return NULL;
}

/* Adds what `c` saw to `sum`, whose samples have room for it. */
static void add(struct client *sum, const struct client *c)
{
	for (uint64_t i = 0; i < c->ok; i++)
		sum->us[sum->ok++] = c->us[i];
	sum->late += c->late;
	sum->failed += c->failed;
	if (c->failed)
		sum->last_failure = c->last_failure;
}

static int print(struct client *sum, double seconds)
{
	printf("{\"ok\":%" PRIu64 ",\"failed\":%" PRIu64
	       ",\"last_failure\":\"%s\",\"per_second\":%.1f,",
	       sum->ok, sum->failed, sum->failed ? why(sum->last_failure) : "",
	       (double)(sum->ok - sum->late) / seconds);
	print_percentiles("us", sum->us, sum->ok);
	puts("}");
	return sum->failed != 0;
}

int client_rate(const struct call *call)
{
	static struct client clients[CLIENTS_MAX];
	uint64_t n = call->conns, started = 0, cap = n ? (call->count + n - 1) / n : 0;
	struct client sum = { .us = calloc(n * cap + 1, sizeof(*sum.us)) };
	int64_t began = now_us();

	if (n == 0 || n > CLIENTS_MAX || !sum.us)
		return 2;
	for (struct client *c = clients; c < clients + n; c++, started++) {
		c->call = call;
		c->cap = cap;
		c->until_us = began + (int64_t)call->seconds * 1000000;
		c->us = calloc(cap + 1, sizeof(*c->us));
		if (!c->us || pthread_create(&c->thread, NULL, run, c) != 0)
			break;
	}
	for (struct client *c = clients; c < clients + started; c++) {
		pthread_join(c->thread, NULL);
		add(&sum, c);
	}
	/* One that was stuck until after the end counts as a connection, but its time does not. */
	int64_t ended = now_us() < clients->until_us ? now_us() : clients->until_us;
	return started < n ? 1 : print(&sum, (double)(ended - began) / 1e6);
}
