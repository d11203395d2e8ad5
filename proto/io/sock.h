#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Small calls on TCP sockets that both sides need. Errors are negative errnos. */

/* Nonblocking, close-on-exec, TCP_NODELAY, urgent data in line: as every relayed socket is. 0 or a
 * negative errno. */
int pg_sock_prepare(int fd);

/* The last two of these only: for a socket that is born with the first two. What a listener accepts
 * inherits them. */
void pg_sock_tune(int fd);

/* Whether a nonblocking connect(2) has succeeded already, as it mostly has on the same machine. */
bool pg_sock_is_connected(int fd);

/* Closes with a reset instead of a FIN (SO_LINGER 0): what the peer sees is ECONNRESET. */
void pg_sock_close_reset(int fd);

/* Takes the pending error of a socket: 0, or a negative errno. It is cleared by reading. */
int pg_sock_error(int fd);

/* A nonblocking connection on its way to `to`: the descriptor, or a negative errno. `mark` is put
 * on it with SO_MARK unless 0. */
int pg_sock_connect(const struct sockaddr *to, uint32_t mark);

/* Room for "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535". */
enum { PG_ADDR_TEXT = 56 };

/* "10.0.0.7:8080" or "[fd00::7]:8080"; IPv4-mapped addresses as IPv4. */
void pg_addr_text(const struct sockaddr_storage *a, char out[PG_ADDR_TEXT]);

/* The address's 4 or 16 bytes (IPv4-mapped ones as 4) and the port in host order; returns the
 * count, 0 for another family. `bytes` has room for 16. */
int pg_addr_bytes(const struct sockaddr_storage *a, uint8_t *bytes, uint16_t *port);

/* The reverse: `n` is 4 or 16 (asserted). */
void pg_addr_set(struct sockaddr_storage *a, const uint8_t *bytes, int n, uint16_t port);

/* Length of the socket address in use, by its family. */
socklen_t pg_addr_len(const struct sockaddr_storage *a);
