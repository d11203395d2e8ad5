/* Clients of many connections at once: bulk transfers, idle crowds, trickles. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "e2e/peers/client.h"

#define CHUNK         ((size_t)256 << 10)
#define TRANSFERS_MAX 1024

/* One bulk transfer. `code` is 0 while all is well, `done` when it has ended either way. */
struct transfer {
	int fd, code;
	bool done;
	uint64_t bytes, at, seed, sum;
	uint8_t *buffer;
	size_t kept, kept_at; /* up: bytes made but not sent yet */
	char answer[96];
	size_t answer_len;
};

static void ended(struct transfer *t, int code)
{
	t->code = code;
	t->done = true;
}

static void down_step(struct transfer *t, bool verify)
{
	ssize_t n = recv(t->fd, t->buffer, CHUNK, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		ended(t, n ? errno : t->at == t->bytes ? 0 : ENODATA);
	} else if ((uint64_t)n > t->bytes - t->at ||
		   (verify && pattern_check(t->buffer, (size_t)n, t->seed, t->at) != (size_t)n)) {
		ended(t, EBADMSG);
	} else {
		t->at += (uint64_t)n;
	}
}

/* The server's line: "ok BYTES SUM", or what it did not like. */
static void up_answer(struct transfer *t)
{
	char want[96];
	size_t room = sizeof(t->answer) - 1 - t->answer_len;
	ssize_t n = recv(t->fd, t->answer + t->answer_len, room, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		t->answer_len += (size_t)n;
		return;
	}
	snprintf(want, sizeof(want), "ok %" PRIu64 " %016" PRIx64 "\n", t->bytes, t->sum);
	ended(t, n ? errno : strcmp(want, t->answer) != 0 ? EBADMSG : 0);
}

static void up_step(struct transfer *t)
{
	if (t->kept == 0) {
		t->kept = t->bytes - t->at < CHUNK ? (size_t)(t->bytes - t->at) : CHUNK;
		t->kept_at = 0;
		pattern_fill(t->buffer, t->kept, t->seed, t->at);
		t->sum = sum_add(t->sum, t->buffer, t->kept, t->at);
		t->at += t->kept;
	}
	ssize_t n = send(t->fd, t->buffer + t->kept_at, t->kept, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0) {
		t->kept -= (size_t)n;
		t->kept_at += (size_t)n;
	} else if (errno != EAGAIN && errno != EINTR) {
		ended(t, errno);
	}
}

static bool sending(const struct transfer *t, bool up)
{
	return up && (t->kept > 0 || t->at < t->bytes);
}

static void transfer_all(struct transfer *all, struct pollfd *polled, const struct call *call,
			 bool up)
{
	for (;;) {
		size_t left = 0;

		for (size_t i = 0; i < call->conns; i++) {
			polled[i].fd = all[i].done ? -1 : all[i].fd;
			polled[i].events =
				(short)(sending(&all[i], up) ? POLLIN | POLLOUT : POLLIN);
			polled[i].revents = 0;
			left += !all[i].done;
		}
		if (left == 0 || client_stop)
			return;
		int n = poll(polled, call->conns, (int)call->timeout_ms);
		for (size_t i = 0; i < call->conns; i++) {
			struct transfer *t = &all[i];
			if (!t->done && n == 0)
				ended(t, ETIMEDOUT);
			if (t->done || !polled[i].revents)
				continue;
			if (!up)
				down_step(t, !call->no_verify);
			else if (polled[i].revents & ~POLLOUT)
				up_answer(t);
			else
				up_step(t);
		}
	}
}

static void transfer_begin(struct transfer *t, const struct call *call, size_t i, bool up)
{
	char line[64];

	t->bytes = call->bytes / call->conns + (i < call->bytes % call->conns);
	t->seed = call->seed + i;
	t->buffer = malloc(CHUNK);
	t->fd = dial(&call->to, (int)call->timeout_ms);
	if (t->fd < 0 || !t->buffer) {
		ended(t, t->fd < 0 ? -t->fd : ENOMEM);
		return;
	}
	int n = snprintf(line, sizeof(line), "%s %" PRIu64 " %" PRIu64 "\n", up ? "up" : "down",
			 t->bytes, t->seed);
	int code = send_all(t->fd, line, (size_t)n);
	if (code)
		ended(t, -code);
}

/* Closes all, and tells the last failure, if any: 0, or an errno. */
static int transfer_end(struct transfer *all, uint64_t n, uint64_t *moved, uint64_t *good)
{
	int code = 0;

	for (uint64_t i = 0; i < n; i++) {
		*moved += all[i].at - all[i].kept;
		*good += all[i].done && all[i].code == 0;
		if (!all[i].done || all[i].code)
			code = all[i].done ? all[i].code : EINTR;
		if (all[i].fd >= 0)
			close(all[i].fd);
		free(all[i].buffer);
	}
	return code;
}

static int bulk(const struct call *call, bool up)
{
	static struct transfer all[TRANSFERS_MAX];
	static struct pollfd polled[TRANSFERS_MAX];
	int64_t began = now_us();
	uint64_t moved = 0, good = 0;

	if (call->conns == 0 || call->conns > TRANSFERS_MAX) {
		fprintf(stderr, "peer: --conns wants 1 to %d here\n", TRANSFERS_MAX);
		return 2;
	}
	for (size_t i = 0; i < call->conns; i++)
		transfer_begin(&all[i], call, i, up);
	transfer_all(all, polled, call, up);
	double seconds = (double)(now_us() - began) / 1e6;
	int code = transfer_end(all, call->conns, &moved, &good);
	printf("{\"ok\":%s,\"saw\":\"%s\",\"conns\":%" PRIu64 ",\"complete\":%" PRIu64
	       ",\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"mb_per_s\":%.1f}\n",
	       code ? "false" : "true", code ? why(code == ENODATA ? 0 : code) : "all", call->conns,
	       good, moved, seconds, (double)moved / seconds / 1e6);
	return code != 0;
}

int client_bulk_down(const struct call *call)
{
	return bulk(call, false);
}

int client_bulk_up(const struct call *call)
{
	return bulk(call, true);
}

/* --- crowds --- */

/* Sends one byte on every open connection and reads it back. Failed ones are closed; returns how
 * many are left. All bytes are sent before the first is awaited. */
static uint64_t check_all(int *fds, uint64_t n, uint8_t byte, int *code)
{
	uint64_t alive = 0;

	for (uint64_t i = 0; i < n; i++) {
		int failed = fds[i] < 0 ? 0 : -send_all(fds[i], &byte, 1);
		if (failed) {
			*code = failed;
			close(fds[i]);
			fds[i] = -1;
		}
	}
	for (uint64_t i = 0; i < n; i++) {
		uint8_t back;
		if (fds[i] < 0)
			continue;
		ssize_t got = recv(fds[i], &back, 1, 0); /* with the timeout of dial() */
		if (got == 1 && back == byte) {
			alive++;
			continue;
		}
		*code = got < 0 ? errno : got ? EBADMSG : ENODATA;
		close(fds[i]);
		fds[i] = -1;
	}
	return alive;
}

static int *open_all(const struct call *call, int *code)
{
	int *fds = calloc(call->conns + 1, sizeof(*fds));

	for (uint64_t i = 0; fds && i < call->conns; i++) {
		fds[i] = client_stop ? -EINTR : dial(&call->to, (int)call->timeout_ms);
		if (fds[i] < 0)
			*code = -fds[i];
	}
	return fds;
}

static bool report(const char *event, const struct call *call, uint64_t alive, int code,
		   int64_t began)
{
	bool ok = alive == call->conns;

	printf("{\"event\":\"%s\",\"ok\":%s,\"conns\":%" PRIu64 ",\"failed\":%" PRIu64
	       ",\"saw\":\"%s\",\"seconds\":%.3f}\n",
	       event, ok ? "true" : "false", alive, call->conns - alive,
	       ok ? "all" : why(code == ENODATA ? 0 : code), (double)(now_us() - began) / 1e6);
	return ok;
}

int client_idle(const struct call *call)
{
	int64_t began = now_us();
	int code = 0, *fds = open_all(call, &code);
	char nothing[256];
	ssize_t n;

	if (!fds)
		return 1;
	bool ok = report("open", call, check_all(fds, call->conns, 'a', &code), code, began);
	do
		n = read(STDIN_FILENO, nothing, sizeof(nothing));
	while (!client_stop && (n > 0 || (n < 0 && errno == EINTR)));
	began = now_us();
	ok &= report("done", call, check_all(fds, call->conns, 'z', &code), code, began);
	free(fds);
	return !ok;
}

int client_trickle(const struct call *call)
{
	int code = 0, *fds = open_all(call, &code);
	int64_t began = now_us();
	uint64_t alive = 0;

	if (!fds)
		return 1;
	for (uint64_t second = 0; second < call->seconds && !client_stop; second++) {
		alive = check_all(fds, call->conns, (uint8_t)second, &code);
		int64_t left_us = began + (int64_t)(second + 1) * 1000000 - now_us();
		if (left_us > 0)
			usleep((useconds_t)left_us);
	}
	bool ok = report("done", call, alive, code, began);
	free(fds);
	return !ok;
}
