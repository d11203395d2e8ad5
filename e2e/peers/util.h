#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* --- time and numbers --- */

/* Microseconds of the monotonic clock. */
int64_t now_us(void);

/* Milliseconds since 1970, to compare with what other programs write down. */
int64_t unix_ms(void);

/* Parses a whole decimal number up to `max`: true, else *out is untouched. */
bool parse_u64(const char *text, uint64_t max, uint64_t *out);

/* Lets this process open as many descriptors as it is allowed to. */
void raise_descriptor_limit(void);

/* --- the bulk pattern: byte `at` of a stream depends on the seed and on `at` alone --- */

void pattern_fill(uint8_t *to, size_t n, uint64_t seed, uint64_t at);

/* Where `bytes` first differ from the pattern (an index below n), or n when they do not. */
size_t pattern_check(const uint8_t *bytes, size_t n, uint64_t seed, uint64_t at);

/* --- checksums --- */

/* zlib's CRC-32, so that tests can say zlib.crc32(data). Starts at 0; feeds on. */
uint32_t crc32_add(uint32_t crc, const void *bytes, size_t n);

/* The sum of all bytes, each shifted by its place in a word of eight: cheap beside a compare. */
uint64_t sum_add(uint64_t sum, const uint8_t *bytes, size_t n, uint64_t at);

/* --- addresses --- */

struct address {
	struct sockaddr_storage store;
	socklen_t len;
};

/* An IPv4 or IPv6 address or "localhost" (IPv4), and a port. No names: a static program cannot. */
bool address_parse(const char *host, const char *port, struct address *out);

/* "10.0.0.1" or "fd00::1"; IPv4-mapped addresses as IPv4. Returns the port. */
uint16_t address_print(const struct sockaddr_storage *from, char *to, size_t cap);

/* --- sockets --- */

/* A connection begun, not blocking: the descriptor, or -errno. */
int dial_start(const struct address *to);

/* A connection made, blocking afterwards with `timeout_ms` per call: the descriptor, or -errno. */
int dial(const struct address *to, int timeout_ms);

/* Sends all: 0, or -errno. */
int send_all(int fd, const void *bytes, size_t n);

/* Closes with a reset instead of a FIN. */
void close_reset(int fd);

/* One word for an errno (0: "eof"): refused, reset, timeout, unreachable, or the errno's name. */
const char *why(int code);
