#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* The server: one thread, one epoll, any number of listeners of any mode. A mode is a table of
 * functions; they act on their connection through the conn_ functions and never block. */

struct server;
struct conn;

struct listener {
	struct server *server;
	const struct mode *mode;
	int fd;
	uint16_t port;
	const char *name;   /* what http and greet call themselves */
	uint64_t number[2]; /* the mode's own arguments */
	bool paused;        /* taken out of epoll while descriptors are short */
};

struct conn {
	struct listener *from;
	struct conn *slow_next, *slow_prev;
	int fd;
	uint32_t events; /* what epoll was asked for */

	uint8_t *out; /* bytes not sent yet: [out_at, out_len) of out_cap */
	size_t out_at, out_len, out_cap;
	uint8_t *text; /* the beginning of a request, of the modes that have one */
	size_t text_len;

	int phase; /* the mode's own, 0 at first */
	uint64_t count, left, seed, sum;
	uint32_t crc;
	int64_t wake_us; /* of slow connections: when to read next */

	bool eof;      /* the peer sent its FIN */
	bool hold;     /* do not read */
	bool produce;  /* call mode->more whenever there is room */
	bool finish;   /* send our FIN when all is sent */
	bool finished; /* our FIN is sent */
	bool end;      /* close when all is sent */
	bool dead;     /* to be freed at the end of this turn */
	bool slow;     /* on the server's list */
};

struct mode {
	const char *name, *help;
	bool udp;
	bool named;  /* takes a NAME as its argument */
	int numbers; /* takes up to this many numbers */
	uint64_t preset[2];
	void (*open)(struct conn *c);
	void (*data)(struct conn *c, const uint8_t *bytes, size_t n);
	void (*eof)(struct conn *c);
	void (*more)(struct conn *c);
};

extern const struct mode modes[];
extern const size_t mode_count;

/* Sends now what the socket takes and keeps the rest. Past 4 MiB kept, the peer is reset. */
void conn_send(struct conn *c, const void *bytes, size_t n);

/* How many bytes wait to be sent. */
size_t conn_waiting(const struct conn *c);

/* Resets the connection at once. */
void conn_reset(struct conn *c);

/* Reads no more than `n` bytes every so often from now on, by the server's clock. */
void conn_slow(struct conn *c);

/* http.c */
void http_data(struct conn *c, const uint8_t *bytes, size_t n);

/* Serves all `specs` ("echo:7", "http:8080:web"), on `address` or on all: an exit status. */
int serve(const char *address, char **specs, int count);
