#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/auto.h"
#include "proto/base/buf.h"
#include "proto/base/num.h"
#include "proto/mux/mux.h"

/* Plays the examples of docs/protocol.md, whose head explains their form. Each lane is played
 * twice: what comes in is fed whole, then byte by byte. */

#define DOC "../../docs/protocol.md"

enum { BYTES_MAX = 64 << 10, STREAMS = 4 };

struct play;

struct source { /* what our socket yields on a stream */
	struct play *play;
	struct pg_stream *s;
	struct pg_buf bytes;
	bool ends;
	size_t told; /* length of its latest "data" event; 0: the latest event is another */
};

struct play {
	struct pg_mux *m;
	uint64_t now_us;
	bool whole;
	struct source sources[STREAMS]; /* by id, less 1 */
	struct pg_buf out;              /* pulled, not yet expected */
	struct pg_buf events;           /* one a line, not yet expected */
};

static const char *line_text; /* the line being played, for messages */
#define CHECK(cond)                                                   \
	do {                                                          \
		if (!(cond))                                          \
			fail_msg("%s: not so: %s", line_text, #cond); \
	} while (0)

static void PG_PRINTF(2, 3) tell(struct play *p, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (int i = 0; i < STREAMS; i++)
		p->sources[i].told = 0;
	CHECK(pg_buf_addf(&p->events, "%s\n", text) == 0);
}

/* "08 01", or "+ 300" for many bytes of zeros. */
static void tell_bytes(struct play *p, const char *what, uint32_t id, const uint8_t *b, size_t n)
{
	char text[256];
	int at = snprintf(text, sizeof(text), id ? "%s %u" : "%s", what, (unsigned)id);
	if (n > 64)
		at += snprintf(text + at, sizeof(text) - (size_t)at, " + %zu", n);
	for (size_t i = 0; n <= 64 && i < n; i++)
		at += snprintf(text + at, sizeof(text) - (size_t)at, " %02x", b[i]);
	tell(p, "%s", text);
}

static struct source *source_of(struct play *p, uint64_t id)
{
	CHECK(id >= 1 && id <= STREAMS);
	return &p->sources[id - 1];
}

static enum pg_reset on_opened(void *ctx, struct pg_stream *s, const uint8_t *info, size_t n,
			       void **user_out)
{
	struct source *src = source_of(ctx, pg_stream_id(s));
	src->s = s;
	*user_out = src;
	tell_bytes(ctx, "opened", pg_stream_id(s), info, n);
	return PG_RESET_ILLEGAL;
}

static void on_accepted(void *user)
{
	struct source *src = user;
	tell(src->play, "accepted %u", (unsigned)pg_stream_id(src->s));
}

/* Pieces of one run of bytes are one event. */
static void on_data(void *user, const uint8_t *b, size_t n)
{
	struct source *src = user;
	struct play *p = src->play;
	static uint8_t run[BYTES_MAX];
	size_t told = src->told;
	if (told > 0) { /* forget the former event: it is the last line */
		while (p->events.len > 0 && p->events.data[--p->events.len - 1] != '\n')
			if (p->events.len == 1) {
				p->events.len = 0;
				break;
			}
	}
	CHECK(told + n <= sizeof(run));
	memcpy(run + told, b, n);
	tell_bytes(p, "data", pg_stream_id(src->s), run, told + n);
	src->told = told + n;
}

static void on_eof(void *user)
{
	struct source *src = user;
	tell(src->play, "eof %u", (unsigned)pg_stream_id(src->s));
}

static void on_gone(void *user, enum pg_reset reason)
{
	struct source *src = user;
	unsigned id = (unsigned)pg_stream_id(src->s);
	src->s = NULL;
	if (reason == PG_RESET_ILLEGAL)
		tell(src->play, "gone %u in order", id);
	else
		tell(src->play, "gone %u: %s", id, pg_reset_name(reason));
}

static ssize_t on_read(void *user, const struct iovec *iov, int count)
{
	struct source *src = user;
	ssize_t done = 0;
	for (int i = 0; i < count && src->bytes.len > 0; i++) {
		size_t n = pg_min(iov[i].iov_len, src->bytes.len);
		memcpy(iov[i].iov_base, src->bytes.data, n);
		pg_buf_drop(&src->bytes, n);
		done += (ssize_t)n;
	}
	if (done > 0)
		return done;
	return src->ends ? 0 : -EAGAIN;
}

static int on_control(void *ctx, const uint8_t *msg, size_t n)
{
	tell_bytes(ctx, "control", 0, msg, n);
	return 0;
}

static void on_wake(void *ctx)
{
	(void)ctx;
}

static const struct pg_mux_ops ops = { on_opened, on_accepted, on_data,    on_eof,
				       on_gone,   on_read,     on_control, on_wake };

/* "02 00 + 16": hex bytes, then so many zeros. Returns the bytes' number. */
static size_t parse_bytes(const char *text, uint8_t *b)
{
	size_t n = 0;
	unsigned byte;
	int used;
	uint64_t zeros;
	for (;; text += used, n++) {
		text += strspn(text, " ");
		if (*text == '\0' || *text == '+')
			break;
		CHECK(strspn(text, "0123456789abcdef") == 2 &&
		      sscanf(text, "%2x%n", &byte, &used) == 1);
		CHECK(n < BYTES_MAX);
		b[n] = (uint8_t)byte;
	}
	if (*text == '+') {
		CHECK(pg_parse_u64(text + 2, 1, BYTES_MAX - n, &zeros) == 0);
		memset(b + n, 0, (size_t)zeros);
		n += (size_t)zeros;
	}
	return n;
}

/* "2 TEXT": takes the number off. */
static uint64_t parse_number(const char **text)
{
	uint64_t n;
	size_t digits = strspn(*text, "0123456789");
	CHECK(pg_parse_u64n(*text, digits, 0, UINT64_MAX, &n) == 0);
	*text += digits;
	*text += strspn(*text, " ");
	return n;
}

static void pull(struct play *p)
{
	static uint8_t slot[PG_FRAME_SLOT];
	struct iovec iov = { slot, sizeof(slot) };
	while (pg_mux_pull(p->m, &iov, 1, p->now_us) > 0) {
		CHECK(pg_buf_add(&p->out, slot, iov.iov_len) == 0);
		iov.iov_len = sizeof(slot);
	}
}

static void feed(struct play *p, const uint8_t *b, size_t n)
{
	int rc = 0;
	if (p->whole)
		rc = pg_mux_feed(p->m, b, n, p->now_us);
	for (size_t i = 0; rc == 0 && !p->whole && i < n; i++)
		rc = pg_mux_feed(p->m, b + i, 1, p->now_us);
	if (rc < 0)
		tell(p, "fault %s", pg_mux_fault(p->m));
}

static void expect_out(struct play *p, const uint8_t *b, size_t n)
{
	CHECK(p->out.len >= n);
	CHECK(memcmp(p->out.data, b, n) == 0);
	pg_buf_drop(&p->out, n);
}

static void expect_event(struct play *p, const char *text)
{
	const char *told = pg_buf_str(&p->events);
	size_t n = strcspn(told, "\n");
	if (n != strlen(text) || memcmp(told, text, n) != 0)
		fail_msg("%s: it is told '%.*s'", line_text, (int)n, told);
	pg_buf_drop(&p->events, n + 1);
}

/* What its owner does. */
static void act(struct play *p, const char *verb, const char *rest)
{
	static uint8_t b[BYTES_MAX];
	if (strcmp(verb, "open") == 0) {
		size_t n = parse_bytes(rest, b);
		struct source any = { 0 }, *src;
		CHECK(pg_mux_open(p->m, b, n, source_of(p, 2), &any.s) == 0);
		src = source_of(p, pg_stream_id(any.s));
		src->s = any.s;
		CHECK(src == source_of(p, 2)); /* the examples open one stream, of the agent */
		return;
	}
	if (strcmp(verb, "control") == 0) {
		size_t n = parse_bytes(rest, b);
		CHECK(pg_mux_control(p->m, b, n) == 0);
		return;
	}
	uint64_t number = parse_number(&rest);
	if (strcmp(verb, "at") == 0) {
		p->now_us = number;
		pg_mux_tick(p->m, p->now_us);
		return;
	}
	struct source *src = source_of(p, number);
	CHECK(src->s != NULL);
	if (strcmp(verb, "accept") == 0) {
		pg_stream_accept(src->s);
	} else if (strcmp(verb, "send") == 0) {
		size_t n = parse_bytes(rest, b);
		CHECK(pg_buf_add(&src->bytes, b, n) == 0);
		pg_stream_readable(src->s);
	} else if (strcmp(verb, "end") == 0) {
		src->ends = true;
		pg_stream_readable(src->s);
	} else if (strcmp(verb, "consume") == 0) {
		pg_stream_consumed(src->s, (size_t)parse_number(&rest));
	} else if (strcmp(verb, "reset") == 0) {
		pg_stream_reset(src->s, (enum pg_reset)parse_number(&rest));
		src->s = NULL;
	} else {
		fail_msg("%s: what is that?", line_text);
	}
}

static void play_line(struct play *p, const char *line)
{
	static uint8_t b[BYTES_MAX];
	char verb[16];
	size_t n = strcspn(line, " ");
	CHECK(n < sizeof(verb));
	snprintf(verb, sizeof(verb), "%.*s", (int)n, line);
	const char *rest = line + n + strspn(line + n, " ");
	pull(p);
	if (strcmp(verb, "out") == 0) {
		size_t len = parse_bytes(rest, b);
		expect_out(p, b, len);
	} else if (strcmp(verb, "->") == 0) {
		expect_event(p, rest);
	} else if (strcmp(verb, "in") == 0) {
		CHECK(p->out.len == 0);
		CHECK(p->events.len == 0);
		feed(p, b, parse_bytes(rest, b));
	} else {
		act(p, verb, rest);
	}
}

/* The lines of `block`, NUL between them, an empty one at its end. */
static void play_lane(const char *block, bool laptop, bool whole)
{
	struct play p = { .whole = whole,
			  .out = PG_BUF_INIT(BYTES_MAX),
			  .events = PG_BUF_INIT(BYTES_MAX) };
	struct pg_pool pool = { .bytes = 1 << 20 };
	const struct pg_mux_config config = {
		.odd = laptop, .pool = &pool, .max_streams = STREAMS, .ops = &ops, .ctx = &p
	};
	for (int i = 0; i < STREAMS; i++)
		p.sources[i] = (struct source){ .play = &p, .bytes = PG_BUF_INIT(BYTES_MAX) };
	p.m = pg_mux_new(&config, 1000000);
	assert_non_null(p.m);
	for (line_text = block; *line_text; line_text += strlen(line_text) + 1)
		play_line(&p, line_text);
	line_text = "end of the block";
	pull(&p);
	CHECK(p.out.len == 0);
	CHECK(p.events.len == 0);
	pg_mux_free(p.m);
	for (int i = 0; i < STREAMS; i++)
		pg_buf_fini(&p.sources[i].bytes);
	pg_buf_fini(&p.out);
	pg_buf_fini(&p.events);
}

static void check_frame(const char *line)
{
	static const char *const names[] = { "",     "OPEN",    "DATA",     "CREDIT",
					     "EOF",  "RESET",   "ACCEPTED", "PING",
					     "PONG", "CONTROL", "RETURN" };
	static_assert(PG_LEN(names) == PG_F_COUNT, "one name per type");
	static uint8_t b[BYTES_MAX];
	char hex[32], want[64], got[64];
	struct pg_frame f;
	CHECK(sscanf(line, "%31[0-9a-f ]| %63[^\n]", hex, want) == 2);
	CHECK(parse_bytes(hex, b) == PG_FRAME_HDR);
	int rc = pg_frame_decode(b, PG_FRAME_HDR, &f);
	if (rc < 0)
		snprintf(got, sizeof(got), rc == -EMSGSIZE ? "too long" : "illegal");
	else
		snprintf(got, sizeof(got), "%s, stream %u, %u bytes", names[f.type],
			 (unsigned)f.stream, f.len);
	if (strcmp(got, want) != 0)
		fail_msg("%s: it is %s", line, got);
}

/* Reads a fenced block from behind its opening line: lines, each with its NUL, and an empty one. */
static void read_block(FILE *doc, struct pg_buf *block)
{
	char line[512];
	while (fgets(line, sizeof(line), doc) && strncmp(line, "```", 3) != 0) {
		line[strcspn(line, "\n")] = '\0';
		assert_int_equal(pg_buf_add(block, line, strlen(line) + 1), 0);
	}
}

static void examples_are_true(void **state)
{
	(void)state;
	FILE *doc = fopen(DOC, "re");
	assert_non_null(doc);
	char line[512];
	int lanes = 0, frames = 0;
	while (fgets(line, sizeof(line), doc)) {
		struct pg_buf block = PG_BUF_INIT(BYTES_MAX);
		bool laptop = strcmp(line, "```lane laptop\n") == 0;
		if (strcmp(line, "```frames\n") == 0) {
			read_block(doc, &block);
			for (line_text = pg_buf_str(&block); *line_text; frames++) {
				check_frame(line_text);
				line_text += strlen(line_text) + 1;
			}
		} else if (laptop || strcmp(line, "```lane agent\n") == 0) {
			read_block(doc, &block);
			play_lane(pg_buf_str(&block), laptop, true);
			play_lane(pg_buf_str(&block), laptop, false);
			lanes++;
		}
		pg_buf_fini(&block);
	}
	fclose(doc);
	print_message("  %d headers, %d lanes\n", frames, lanes);
	assert_true(frames >= 15 && lanes >= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(examples_are_true) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
