#include "e2e/peers/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "e2e/peers/util.h"

/* The behaviours. Each is told by what its clients see; `peer help` prints them. */

static void send_back(struct conn *c, const uint8_t *bytes, size_t n)
{
	conn_send(c, bytes, n);
}

static void end_too(struct conn *c)
{
	c->finish = true;
	c->end = true;
}

static void greet_open(struct conn *c)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "hello from %s\n", c->from->name);

	conn_send(c, line, (size_t)n);
}

static void count_data(struct conn *c, const uint8_t *bytes, size_t n)
{
	c->count += n;
	c->crc = crc32_add(c->crc, bytes, n);
}

static void halfclose_eof(struct conn *c)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%" PRIu64 " %08x\n", c->count, (unsigned)c->crc);

	conn_send(c, line, (size_t)n);
	c->end = true;
}

static void shutfirst_open(struct conn *c)
{
	greet_open(c);
	c->finish = true;
}

/* Our direction is closed, so the answer goes where tests can read it: to the log. */
static void shutfirst_eof(struct conn *c)
{
	printf("{\"event\":\"shutfirst\",\"port\":%u,\"bytes\":%" PRIu64 ",\"crc32\":\"%08x\"}\n",
	       c->from->port, c->count, (unsigned)c->crc);
	c->end = true;
}

static void reset_open(struct conn *c)
{
	if (c->from->number[0] == 0)
		conn_reset(c);
}

static void reset_data(struct conn *c, const uint8_t *bytes, size_t n)
{
	(void)bytes;
	c->count += n;
	if (c->count >= c->from->number[0])
		conn_reset(c);
}

static void stall_open(struct conn *c)
{
	c->hold = true;
}

/* --- bulk: "down N SEED" or "up N SEED", then the bytes --- */

enum { BULK_LINE, BULK_DOWN, BULK_UP, BULK_DONE };
#define BULK_LINE_MAX 63
#define BULK_CHUNK    65536

static void bulk_say(struct conn *c, const char *line)
{
	conn_send(c, line, strlen(line));
	c->phase = BULK_DONE;
	c->end = true;
}

static void bulk_up_data(struct conn *c, const uint8_t *bytes, size_t n)
{
	char line[96];

	if (n > c->left)
		n = (size_t)c->left;
	size_t good = pattern_check(bytes, n, c->seed, c->count);
	if (good < n) {
		snprintf(line, sizeof(line), "bad byte at %" PRIu64 "\n", c->count + good);
		bulk_say(c, line);
		return;
	}
	c->sum = sum_add(c->sum, bytes, n, c->count);
	c->count += n;
	c->left -= n;
	if (c->left == 0) {
		snprintf(line, sizeof(line), "ok %" PRIu64 " %016" PRIx64 "\n", c->count, c->sum);
		bulk_say(c, line);
	}
}

static void bulk_line(struct conn *c)
{
	char word[8], number[24], seed[24];

	c->text[c->text_len] = '\0';
	bool good = sscanf((char *)c->text, "%7s %23s %23s", word, number, seed) == 3 &&
		    parse_u64(number, UINT64_MAX, &c->left) &&
		    parse_u64(seed, UINT64_MAX, &c->seed);
	if (good && strcmp(word, "down") == 0) {
		c->phase = BULK_DOWN;
		c->produce = true;
	} else if (good && strcmp(word, "up") == 0) {
		c->phase = BULK_UP;
		bulk_up_data(c, NULL, 0); /* zero bytes are an answer already */
	} else {
		bulk_say(c, "want: down|up BYTES SEED\n");
	}
}

static void bulk_data(struct conn *c, const uint8_t *bytes, size_t n)
{
	while (n > 0 && c->phase == BULK_LINE) {
		if (!c->text && !(c->text = malloc(BULK_LINE_MAX + 1))) {
			conn_reset(c);
			return;
		}
		if (*bytes == '\n')
			bulk_line(c);
		else if (c->text_len < BULK_LINE_MAX)
			c->text[c->text_len++] = *bytes;
		else
			bulk_say(c, "line too long\n");
		bytes++;
		n--;
	}
	if (c->phase == BULK_UP && n > 0)
		bulk_up_data(c, bytes, n);
}

static void bulk_more(struct conn *c)
{
	static uint8_t chunk[BULK_CHUNK];

	/* A few chunks a turn, so that other connections have theirs. */
	for (int turn = 0; turn < 8 && c->left > 0 && conn_waiting(c) == 0 && !c->dead; turn++) {
		size_t n = c->left < sizeof(chunk) ? (size_t)c->left : sizeof(chunk);

		pattern_fill(chunk, n, c->seed, c->count);
		c->count += n;
		c->left -= n;
		conn_send(c, chunk, n);
	}
	if (c->left == 0) {
		c->produce = false;
		c->end = true;
	}
}

static void bulk_eof(struct conn *c)
{
	if (c->phase != BULK_DOWN)
		c->end = true;
}

const struct mode modes[] = {
	{ .name = "echo",
	  .help = "PORT: send everything back; FIN answers FIN",
	  .data = send_back,
	  .eof = end_too },
	{ .name = "greet",
	  .help = "PORT [NAME]: say 'hello from NAME' first, then echo",
	  .named = true,
	  .open = greet_open,
	  .data = send_back,
	  .eof = end_too },
	{ .name = "http",
	  .help = "PORT [NAME]: HTTP/1.1; JSON with NAME, peer, path, body's CRC-32",
	  .named = true,
	  .data = http_data,
	  .eof = end_too },
	{ .name = "slow",
	  .help = "PORT [MS [BYTES]]: echo that reads BYTES (100) each MS (100)",
	  .numbers = 2,
	  .preset = { 100, 100 },
	  .open = conn_slow,
	  .data = send_back,
	  .eof = end_too },
	{ .name = "halfclose",
	  .help = "PORT: read until FIN, then answer 'COUNT CRC32' and close",
	  .data = count_data,
	  .eof = halfclose_eof },
	{ .name = "shutfirst",
	  .help = "PORT [NAME]: greet and FIN at once, read on; log count at FIN",
	  .named = true,
	  .open = shutfirst_open,
	  .data = count_data,
	  .eof = shutfirst_eof },
	{ .name = "reset",
	  .help = "PORT [BYTES]: reset after BYTES (1) were read; 0: at once",
	  .numbers = 1,
	  .preset = { 1 },
	  .open = reset_open,
	  .data = reset_data,
	  .eof = end_too },
	{ .name = "bulk",
	  .help = "PORT: 'down N SEED' streams N bytes; 'up N SEED' checks N bytes",
	  .data = bulk_data,
	  .eof = bulk_eof,
	  .more = bulk_more },
	{ .name = "stall", .help = "PORT: accept and never read", .open = stall_open },
	{ .name = "udp-echo", .help = "PORT: send each datagram back", .udp = true },
};
const size_t mode_count = sizeof(modes) / sizeof(modes[0]);
