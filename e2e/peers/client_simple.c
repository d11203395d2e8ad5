/* Clients of one connection at a time, with blocking calls. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "e2e/peers/client.h"

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void print_percentiles(const char *name, uint64_t *samples, size_t n)
{
	uint64_t none[1] = { 0 };

	if (n == 0) {
		samples = none;
		n = 1;
	}
	qsort(samples, n, sizeof(*samples), compare);
	printf("\"%s\":{\"p50\":%" PRIu64 ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64
	       ",\"max\":%" PRIu64 "}",
	       name, samples[(n - 1) * 50 / 100], samples[(n - 1) * 90 / 100],
	       samples[(n - 1) * 99 / 100], samples[n - 1]);
}

/* A connection, or -1 after the JSON that says why there is none. */
static int dial_or_say(const struct call *call)
{
	int fd = dial(&call->to, (int)call->timeout_ms);

	if (fd < 0)
		printf("{\"ok\":false,\"saw\":\"%s\",\"stage\":\"connect\"}\n", why(-fd));
	return fd < 0 ? -1 : fd;
}

/* Reads exactly n bytes: 0, -errno, or -ENODATA at EOF. */
static int read_exactly(int fd, uint8_t *to, size_t n)
{
	while (n > 0) {
		ssize_t got = recv(fd, to, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : -ENODATA;
		to += got;
		n -= (size_t)got;
	}
	return 0;
}

/* Reads on to the end: what ended it (0: EOF). Keeps the first bytes in `to`, counts all. */
static int read_to_end(int fd, char *to, size_t cap, uint64_t *count)
{
	static uint8_t buffer[65536];
	size_t kept = 0;

	to[0] = '\0';
	*count = 0;
	for (;;) {
		ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
		if (got < 0 && errno == EINTR && !client_stop)
			continue;
		if (got <= 0)
			return got ? errno : 0;
		for (ssize_t i = 0; i < got && kept < cap - 1; i++)
			to[kept++] = (char)buffer[i];
		to[kept] = '\0';
		*count += (uint64_t)got;
	}
}

/* Sends `bytes` of the pattern: 0, or -errno. Tells their CRC. */
static int send_pattern(int fd, const struct call *call, uint32_t *crc)
{
	static uint8_t chunk[65536];

	*crc = 0;
	for (uint64_t at = 0; at < call->bytes;) {
		size_t n = call->bytes - at < sizeof(chunk) ? (size_t)(call->bytes - at)
							    : sizeof(chunk);
		pattern_fill(chunk, n, call->seed, at);
		*crc = crc32_add(*crc, chunk, n);
		int code = send_all(fd, chunk, n);
		if (code)
			return code;
		at += n;
	}
	return 0;
}

int client_get(const struct call *call)
{
	static uint8_t reply[1 << 20];
	char request[2048];
	size_t n = 0;
	bool v6 = call->to.store.ss_family == AF_INET6;
	int fd = dial(&call->to, (int)call->timeout_ms), code = 0;

	if (fd < 0) {
		fprintf(stderr, "peer: connect: %s\n", why(-fd));
		return 1;
	}
	int len = snprintf(request, sizeof(request),
			   "GET %.1024s HTTP/1.1\r\nHost: %s%s%s:%s\r\nConnection: close\r\n\r\n",
			   call->path, v6 ? "[" : "", call->host, v6 ? "]" : "", call->port);
	code = -send_all(fd, request, (size_t)len);
	while (!code && n < sizeof(reply) - 1) {
		ssize_t got = recv(fd, reply + n, sizeof(reply) - 1 - n, 0);
		if (got < 0)
			code = errno;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	close(fd);
	reply[n] = '\0';
	char *body = strstr((char *)reply, "\r\n\r\n");
	if (!body) {
		fprintf(stderr, "peer: no answer: %s\n", why(code));
		return 1;
	}
	fputs(body + 4, stdout);
	return strncmp((char *)reply, "HTTP/1.1 200", 12) != 0;
}

int client_latency(const struct call *call)
{
	static uint8_t out[65536], in[65536];
	size_t done = 0, n = call->size ? call->size : 1;
	uint64_t *samples = calloc(call->count ? call->count : 1, sizeof(*samples));
	int code = 0, fd = samples ? dial_or_say(call) : -1;

	if (fd < 0) {
		free(samples);
		return 1;
	}
	pattern_fill(out, n, call->seed, 0);
	int64_t began = now_us();
	for (; done < call->count && !client_stop; done++) {
		int64_t sent = now_us();
		code = send_all(fd, out, n);
		if (!code)
			code = read_exactly(fd, in, n);
		if (!code && memcmp(in, out, n) != 0)
			code = -EBADMSG;
		if (code)
			break;
		samples[done] = (uint64_t)(now_us() - sent);
	}
	double seconds = (double)(now_us() - began) / 1e6;
	printf("{\"ok\":%s,\"saw\":\"%s\",\"count\":%zu,\"size\":%zu,\"per_second\":%.1f,",
	       code ? "false" : "true", code ? why(code == -ENODATA ? 0 : -code) : "all", done, n,
	       seconds > 0 ? (double)done / seconds : 0);
	print_percentiles("us", samples, done);
	puts("}");
	free(samples);
	close(fd);
	return code != 0;
}

int client_onebyte(const struct call *call)
{
	uint64_t sent = 0, got = 0;
	int code = 0, fd = dial_or_say(call);

	if (fd < 0)
		return 1;
	/* At most 4096 bytes are on their way, so neither side can fill up and wait for the other.
	 */
	while (got < call->count && !code && !client_stop) {
		bool room = sent < call->count && sent - got < 4096;
		struct pollfd ready = { .fd = fd,
					.events = (short)(POLLIN | (room ? POLLOUT : 0)) };
		uint8_t want[4096], in[4096], byte;

		int n = poll(&ready, 1, (int)call->timeout_ms);
		if (n <= 0) {
			code = n ? errno : ETIMEDOUT;
		} else if (ready.revents & ~POLLOUT) {
			ssize_t r = recv(fd, in, sizeof(in), 0);
			if (r <= 0) {
				code = r ? errno : ENODATA;
				continue;
			}
			pattern_fill(want, (size_t)r, call->seed, got);
			if (memcmp(want, in, (size_t)r) != 0)
				code = EBADMSG;
			got += (uint64_t)r;
		} else {
			pattern_fill(&byte, 1, call->seed, sent++);
			code = -send_all(fd, &byte, 1);
		}
	}
	printf("{\"ok\":%s,\"saw\":\"%s\",\"sent\":%" PRIu64 ",\"echoed\":%" PRIu64 "}\n",
	       got == call->count && !code ? "true" : "false",
	       code ? why(code == ENODATA ? 0 : code) : "all", sent, got);
	close(fd);
	return got != call->count || code;
}

int client_reset(const struct call *call)
{
	char text[64];
	uint64_t count = 0;
	uint32_t crc;
	int fd = dial(&call->to, (int)call->timeout_ms);

	if (fd < 0) { /* a server that resets at once is often seen here already */
		printf("{\"ok\":%s,\"saw\":\"%s\",\"stage\":\"connect\",\"received\":0}\n",
		       fd == -ECONNRESET ? "true" : "false", why(-fd));
		return fd != -ECONNRESET;
	}
	int code = -send_pattern(fd, call, &crc);
	if (call->abort) {
		close_reset(fd);
		printf("{\"ok\":%s,\"saw\":\"own-reset\",\"sent\":%" PRIu64 "}\n",
		       code ? "false" : "true", call->bytes);
		return code != 0;
	}
	if (!code)
		code = read_to_end(fd, text, sizeof(text), &count);
	printf("{\"ok\":true,\"saw\":\"%s\",\"received\":%" PRIu64 "}\n", why(code), count);
	close(fd);
	return 0;
}

int client_halfclose(const struct call *call)
{
	char want[64], text[64];
	uint64_t count = 0;
	uint32_t crc;
	int fd = dial_or_say(call);

	if (fd < 0)
		return 1;
	int code = -send_pattern(fd, call, &crc);
	if (!code && shutdown(fd, SHUT_WR) < 0)
		code = errno;
	text[0] = '\0';
	if (!code)
		code = read_to_end(fd, text, sizeof(text), &count);
	snprintf(want, sizeof(want), "%" PRIu64 " %08x\n", call->bytes, (unsigned)crc);
	bool match = strcmp(want, text) == 0;
	printf("{\"ok\":%s,\"saw\":\"%s\",\"sent\":%" PRIu64 ",\"crc32\":\"%08x\",\"match\":%s}\n",
	       match && !code ? "true" : "false", why(code), call->bytes, (unsigned)crc,
	       match ? "true" : "false");
	close(fd);
	return !match || code;
}

int client_shutfirst(const struct call *call)
{
	char text[64];
	uint64_t count = 0;
	uint32_t crc = 0;
	int fd = dial_or_say(call);

	if (fd < 0)
		return 1;
	int code = read_to_end(fd, text, sizeof(text), &count), sent = 0;
	if (!code)
		sent = -send_pattern(fd, call, &crc);
	bool greeted = strncmp(text, "hello from ", 11) == 0;
	printf("{\"ok\":%s,\"saw\":\"%s\",\"send\":\"%s\",\"received\":%" PRIu64
	       ",\"crc32\":\"%08x\"}\n",
	       greeted && !code && !sent ? "true" : "false", why(code), sent ? why(sent) : "all",
	       count, (unsigned)crc);
	close(fd);
	return !greeted || code || sent;
}

int client_udp(const struct call *call)
{
	static uint8_t out[65536], in[65536];
	struct timeval limit = { .tv_sec = 1 };
	uint64_t ok = 0;
	int fd = socket(call->to.store.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&call->to.store, call->to.len) < 0) {
		printf("{\"ok\":false,\"saw\":\"%s\"}\n", why(errno));
		return 1;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	for (uint64_t i = 0; i < call->count && !client_stop; i++) {
		pattern_fill(out, call->size, i, 0);
		if (send(fd, out, call->size, 0) < 0)
			continue;
		ssize_t n = recv(fd, in, sizeof(in), 0);
		if (n == (ssize_t)call->size && memcmp(in, out, call->size) == 0)
			ok++;
	}
	printf("{\"ok\":%s,\"sent\":%" PRIu64 ",\"echoed\":%" PRIu64 "}\n",
	       ok == call->count ? "true" : "false", call->count, ok);
	close(fd);
	return ok != call->count;
}
