#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Tells the kubelet's probes from other connections by the first bytes that the client sends. Pure.
 *
 * An http probe is a GET of HTTP/1.1 with "User-Agent: kube-probe/1.35". A gRPC probe is made by
 * grpc-go, on HTTP/2 with prior knowledge (RFC 9113 3.3): it sends the preface and its SETTINGS,
 * and says no more before the server's SETTINGS have come. So whoever wants to know must send some
 * (pg_first_greeting), and take their acknowledgement out of what the real server will read
 * (pg_first_forget_greeting()). Then comes a request for "/grpc.health.v1.Health/...". */

enum {
	PG_FIRST_MAX = 4096,   /* bytes after which it is no probe: theirs have some 130 and 250 */
	PG_FIRST_GREETING = 9, /* bytes */
};

enum pg_first {
	PG_FIRST_MORE,  /* it cannot be told yet */
	PG_FIRST_GREET, /* nor will it before the client was greeted */
	PG_FIRST_PROBE,
	PG_FIRST_OTHER,
};

/* What the `n` bytes at `p` are. `grpc`: it may be a gRPC probe; `greeted`: the greeting was sent,
 * and the verdict waits for its acknowledgement. */
enum pg_first pg_first_look(const uint8_t *p, size_t n, bool grpc, bool greeted);

/* An empty SETTINGS frame, which changes nothing: the real server's follow. */
extern const uint8_t pg_first_greeting[PG_FIRST_GREETING];

/* Removes the first acknowledgement of SETTINGS from the HTTP/2 bytes: their count from then on. */
size_t pg_first_forget_greeting(uint8_t *p, size_t n);
