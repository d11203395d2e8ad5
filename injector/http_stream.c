#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "injector/http_priv.h"
#include "proto/base/mem.h"

/* An answer that goes on. libcurl writes into `in`; lines are lent out of it; over FULL_BYTES the
 * transfer pauses until the reader has caught up, unless a single line needs the room. */

enum {
	LINE_MAX_BYTES = 16 << 20, /* one watch event: etcd's limit is 1.5 MiB, JSON adds to it */
	FULL_BYTES = 1 << 20,
	REFUSAL_BYTES = 64 << 10,
	REFUSAL_MS = 5000, /* to read the body of a refusal */
};

struct pg_http_stream {
	struct pg_http_xfer x;
	struct pg_buf in;
	size_t lent;  /* bytes of `in` that earlier calls have returned */
	size_t lines; /* complete lines in `in` beyond `lent` */
	int status;   /* 0 until the answer's head has ended */
	int refused;  /* why `in` could not take more */
	bool is_paused;
};

static size_t on_head(char *p, size_t size, size_t n, void *ctx)
{
	struct pg_http_stream *s = ctx;
	bool is_end = n == 2 && p[0] == '\r' && p[1] == '\n';
	long status = 0;
	if (is_end)
		curl_easy_getinfo(s->x.easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200) {
		s->status = (int)status;
		s->x.wake = true;
	}
	return size * n;
}

static size_t count_lines(const char *p, size_t n)
{
	size_t lines = 0;
	for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		lines++;
	return lines;
}

static size_t on_bytes(char *p, size_t size, size_t n, void *ctx)
{
	struct pg_http_stream *s = ctx;
	if (s->lines > 0 && s->in.len - s->lent > FULL_BYTES) {
		s->is_paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	s->refused = pg_buf_add(&s->in, p, size * n);
	if (s->refused < 0)
		return 0;
	s->lines += count_lines(p, size * n);
	if (s->lines > 0)
		s->x.wake = true;
	return size * n;
}

void pg_http_stream_close(struct pg_http_stream *s)
{
	if (!s)
		return;
	pg_http_xfer_fini(&s->x);
	pg_buf_fini(&s->in);
	free(s);
}

static int start_stream(struct pg_http_stream *s, const struct pg_http_peer *peer,
			const struct pg_http_request *rq, struct pg_err *err)
{
	int rc = pg_http_xfer_request(&s->x, peer, rq, err);
	if (rc < 0)
		return rc;
	curl_easy_setopt(s->x.easy, CURLOPT_HEADERFUNCTION, on_head);
	pg_http_set_ptr(&s->x, CURLOPT_HEADERDATA, s);
	curl_easy_setopt(s->x.easy, CURLOPT_WRITEFUNCTION, on_bytes);
	pg_http_set_ptr(&s->x, CURLOPT_WRITEDATA, s);
	return pg_http_xfer_start(&s->x, err);
}

/* Reads what a refusal says, as far as it fits and arrives soon. */
static int read_refusal(struct pg_http_stream *s, struct pg_buf *refusal, struct pg_err *err)
{
	uint64_t deadline_ms = pg_loop_now_ms(s->x.http->loop) + REFUSAL_MS;
	while (!s->x.done && s->in.len < REFUSAL_BYTES) {
		int rc = pg_http_xfer_wait(&s->x, deadline_ms, err);
		if (rc == -ETIMEDOUT)
			break;
		if (rc < 0)
			return rc;
	}
	size_t room = refusal->max - refusal->len, n = s->in.len;
	n = n < REFUSAL_BYTES ? n : REFUSAL_BYTES;
	return pg_buf_add(refusal, s->in.data, n < room ? n : room);
}

static int no_answer(const struct pg_http_stream *s, struct pg_err *err)
{
	pg_fail(err, -EPROTO, "%s ended the connection without an answer", s->x.origin);
	pg_hint(err, PG_CLUSTER, "is this an API server? try kubectl version");
	return -EPROTO;
}

int pg_http_stream_open(struct pg_http *h, const struct pg_http_peer *peer,
			const struct pg_http_request *rq, struct pg_http_stream **out,
			int *status_out, struct pg_buf *refusal, struct pg_err *err)
{
	struct pg_http_stream *s = pg_calloc(1, sizeof(*s));
	if (!s)
		return pg_fail(err, -ENOMEM, "ask %s", peer->base_url);
	s->in.max = LINE_MAX_BYTES + FULL_BYTES;
	int rc = pg_http_xfer_init(&s->x, h, peer, rq->path, err);
	if (rc == 0)
		rc = start_stream(s, peer, rq, err);
	uint64_t deadline_ms =
		rq->timeout_ms > 0 ? pg_loop_now_ms(h->loop) + rq->timeout_ms : UINT64_MAX;
	while (rc == 0 && s->status == 0 && !s->x.done)
		rc = pg_http_xfer_wait(&s->x, deadline_ms, err);
	if (rc == 0 && s->status == 0)
		rc = s->x.result != CURLE_OK ? pg_http_xfer_fail(&s->x, err) : no_answer(s, err);
	int status = s->status;
	if (rc == 0 && status != 200)
		rc = read_refusal(s, refusal, err);
	if (rc < 0 || status != 200) {
		pg_http_stream_close(s);
		s = NULL;
	}
	if (rc < 0)
		return rc;
	*out = s;
	*status_out = status;
	return 0;
}

/* Cuts the next line out of `in`, or what is left of it at the end of the stream. */
static bool cut_line(struct pg_http_stream *s, const char **line)
{
	char *start = (char *)s->in.data + s->lent;
	size_t left = s->in.len - s->lent;
	char *newline = s->lines > 0 ? memchr(start, '\n', left) : NULL;
	if (newline) {
		*newline = '\0';
		s->lent += (size_t)(newline - start) + 1;
		s->lines--;
	} else if (s->x.done && s->x.result == CURLE_OK && left > 0) {
		s->lent = s->in.len;
	} else {
		return false;
	}
	*line = start;
	return true;
}

/* What was lent is no longer: makes room when that is cheap, and lets a paused transfer go on. */
static void make_room(struct pg_http_stream *s)
{
	if (s->lent > 0 && (s->lent == s->in.len || s->lent >= FULL_BYTES / 2)) {
		pg_buf_drop(&s->in, s->lent);
		s->lent = 0;
	}
	if (s->is_paused && s->lines == 0) {
		s->is_paused = false;
		curl_easy_pause(s->x.easy, CURLPAUSE_CONT);
	}
}

static int too_long(const struct pg_http_stream *s, struct pg_err *err)
{
	pg_fail(err, -EMSGSIZE, "a line of %s is longer than %d MiB.", s->x.origin,
		LINE_MAX_BYTES >> 20);
	pg_hint(err, PG_CLUSTER, "is this an API server? try kubectl version");
	return -EMSGSIZE;
}

int pg_http_stream_line(struct pg_http_stream *s, uint64_t deadline_ms, const char **line,
			struct pg_err *err)
{
	for (;;) {
		make_room(s);
		if (cut_line(s, line))
			return 1;
		if (s->x.done && s->x.result == CURLE_OK)
			return 0;
		if (s->refused == -ENOBUFS)
			return too_long(s, err);
		if (s->refused < 0)
			return pg_fail(err, s->refused, "read from %s", s->x.origin);
		if (s->x.done)
			return pg_http_xfer_fail(&s->x, err);
		int rc = pg_http_xfer_wait(&s->x, deadline_ms, err);
		if (rc < 0)
			return rc;
	}
}
