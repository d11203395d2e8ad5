#include "e2e/peers/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t unix_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool parse_u64(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (!text || !*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		uint64_t digit = (uint64_t)(*text - '0');
		if (value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Word `i` of the pattern: the mixing step of splitmix64, which needs no state. */
static uint64_t pattern_word(uint64_t seed, uint64_t i)
{
	uint64_t z = seed + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void pattern_fill(uint8_t *to, size_t n, uint64_t seed, uint64_t at)
{
	while (n > 0) {
		uint64_t word = pattern_word(seed, at / 8);
		size_t skip = at % 8, take = 8 - skip;

		if (take > n)
			take = n;
		if (skip == 0 && take == 8)
			memcpy(to, &word, 8);
		else
			memcpy(to, (uint8_t *)&word + skip, take);
		to += take;
		at += take;
		n -= take;
	}
}

size_t pattern_check(const uint8_t *bytes, size_t n, uint64_t seed, uint64_t at)
{
	uint8_t want[4096];

	for (size_t done = 0; done < n;) {
		size_t take = n - done < sizeof(want) ? n - done : sizeof(want);

		pattern_fill(want, take, seed, at + done);
		if (memcmp(bytes + done, want, take) != 0) {
			while (bytes[done] == want[done % sizeof(want)])
				done++;
			return done;
		}
		done += take;
	}
	return n;
}

uint32_t crc32_add(uint32_t crc, const void *bytes, size_t n)
{
	static uint32_t table[256];
	const uint8_t *b = bytes;

	if (!table[1]) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t value = i;
			for (int bit = 0; bit < 8; bit++)
				value = value & 1 ? (value >> 1) ^ 0xedb88320u : value >> 1;
			table[i] = value;
		}
	}
	crc = ~crc;
	for (size_t i = 0; i < n; i++)
		crc = table[(crc ^ b[i]) & 0xff] ^ (crc >> 8);
	return ~crc;
}

uint64_t sum_add(uint64_t sum, const uint8_t *bytes, size_t n, uint64_t at)
{
	size_t i = 0;

	for (; i < n && (at + i) % 8 != 0; i++)
		sum += (uint64_t)bytes[i] << (at + i) % 8 * 8;
	for (; n - i >= 8; i += 8) {
		uint64_t word;
		memcpy(&word, bytes + i, 8);
		sum += word;
	}
	for (; i < n; i++)
		sum += (uint64_t)bytes[i] << (at + i) % 8 * 8;
	return sum;
}

bool address_parse(const char *host, const char *port, struct address *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&out->store;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->store;
	uint64_t number;

	memset(out, 0, sizeof(*out));
	if (!parse_u64(port, 65535, &number))
		return false;
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)number);
		out->len = sizeof(*v4);
		return true;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)number);
		out->len = sizeof(*v6);
		return true;
	}
	return false;
}

uint16_t address_print(const struct sockaddr_storage *from, char *to, size_t cap)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;

	to[0] = '\0';
	if (from->ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, to, (socklen_t)cap);
		return ntohs(v4->sin_port);
	}
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, to, (socklen_t)cap);
	else
		inet_ntop(AF_INET6, &v6->sin6_addr, to, (socklen_t)cap);
	return ntohs(v6->sin6_port);
}

int dial_start(const struct address *to)
{
	int one = 1;
	int fd = socket(to->store.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (const struct sockaddr *)&to->store, to->len) < 0 && errno != EINPROGRESS) {
		int code = errno;
		close(fd);
		return -code;
	}
	return fd;
}

int dial(const struct address *to, int timeout_ms)
{
	struct timeval limit = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
	int code = 0, on = 0, fd = dial_start(to);
	socklen_t len = sizeof(code);

	if (fd < 0)
		return fd;
	struct pollfd waits = { .fd = fd, .events = POLLOUT };
	if (poll(&waits, 1, timeout_ms) != 1)
		code = ETIMEDOUT;
	else
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len);
	if (code) {
		close(fd);
		return -code;
	}
	(void)ioctl(fd, FIONBIO, &on);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

int send_all(int fd, const void *bytes, size_t n)
{
	const uint8_t *b = bytes;

	while (n > 0) {
		ssize_t sent = send(fd, b, n, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		b += sent;
		n -= (size_t)sent;
	}
	return 0;
}

void close_reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

const char *why(int code)
{
	switch (code) {
	case 0:
		return "eof";
	case ECONNREFUSED:
		return "refused";
	case ECONNRESET:
	case EPIPE:
		return "reset";
	case EAGAIN:
	case ETIMEDOUT:
		return "timeout";
	case EHOSTUNREACH:
	case ENETUNREACH:
		return "unreachable";
	case EBADMSG:
		return "wrong-bytes";
	default:
		return strerrorname_np(code);
	}
}
