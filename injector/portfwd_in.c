#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "injector/portfwd_impl.h"
#include "proto/base/num.h"

/* The error stream: text for people, at the end. */
static void keep_text(struct pg_portfwd *f, const uint8_t *p, size_t n)
{
	size_t keep = pg_min(n, sizeof(f->text) - 1 - f->text_len);
	memcpy(f->text + f->text_len, p, keep);
	f->text_len += keep;
	f->text[f->text_len] = '\0';
	pg_portfwd_await_last_words(f);
}

static int end_stream(struct pg_portfwd *f, int which)
{
	f->has_ended[which] = true;
	pg_portfwd_await_last_words(f);
	return f->has_ended[PG_PORTFWD_ERROR] && f->has_ended[PG_PORTFWD_DATA] ? -ENODATA : 0;
}

/* SPDY: raw, or in WebSocket messages. */

static int on_spdy_data(void *ctx, uint32_t stream, const uint8_t *p, size_t n, bool fin)
{
	struct pg_portfwd *f = ctx;
	int rc = 0;
	if (stream == PG_SPDY_ERROR_STREAM && n > 0)
		keep_text(f, p, n);
	else if (stream == PG_SPDY_DATA_STREAM && n > 0)
		rc = pg_portfwd_received(f, p, n);
	if (rc < 0 || !fin)
		return rc;
	return stream == PG_SPDY_ERROR_STREAM  ? end_stream(f, PG_PORTFWD_ERROR)
	       : stream == PG_SPDY_DATA_STREAM ? end_stream(f, PG_PORTFWD_DATA)
					       : 0;
}

static int on_spdy_reply(void *ctx, uint32_t stream, bool fin)
{
	struct pg_portfwd *f = ctx;
	if (stream == PG_SPDY_ERROR_STREAM)
		f->is_accepted[PG_PORTFWD_ERROR] = true;
	if (stream == PG_SPDY_DATA_STREAM)
		f->is_accepted[PG_PORTFWD_DATA] = true;
	return fin ? on_spdy_data(f, stream, NULL, 0, true) : 0;
}

/* The error stream is reset after its text; on the data stream a reset is the failure itself. */
static int on_spdy_reset(void *ctx, uint32_t stream, uint32_t status)
{
	(void)status;
	struct pg_portfwd *f = ctx;
	if (stream == PG_SPDY_ERROR_STREAM)
		return end_stream(f, PG_PORTFWD_ERROR);
	return stream == PG_SPDY_DATA_STREAM ? -ECONNRESET : 0;
}

static int on_spdy_ping(void *ctx, uint32_t id)
{
	uint8_t ping[PG_SPDY_CONTROL_MAX];
	if (id % 2 == 0) /* else it answers one of ours */
		pg_portfwd_put_urgent(ctx, ping, pg_spdy_put_ping(ping, id), PG_WS_BINARY);
	return 0;
}

static int on_spdy_goaway(void *ctx, uint32_t last_stream, uint32_t status)
{
	(void)last_stream;
	(void)status;
	struct pg_portfwd *f = ctx;
	return f->has_ended[PG_PORTFWD_DATA] || f->text_len > 0 ? -ENODATA : -ECONNRESET;
}

static const struct pg_spdy_ops spdy_ops = {
	.data = on_spdy_data,
	.reply = on_spdy_reply,
	.reset = on_spdy_reset,
	.ping = on_spdy_ping,
	.goaway = on_spdy_goaway,
};

/* Direct WebSocket: the first byte of a message is its channel, and the first two bytes of a
 * channel are its port, little-endian. Channel 0 is data, 1 errors, others are not ours. */

static int take_preamble(struct pg_portfwd *f, const uint8_t **p, size_t *n, int which)
{
	for (; *n > 0 && f->preamble[which] < 2; ++*p, --*n) {
		if (**p != (uint8_t)(f->port >> (8 * f->preamble[which])))
			return -EPROTO;
		if (++f->preamble[which] == 2)
			f->is_accepted[which] = true;
	}
	return 0;
}

static int on_channel_data(struct pg_portfwd *f, const uint8_t *p, size_t n, bool first)
{
	if (first) {
		f->channel = n > 0 ? p[0] : UINT8_MAX;
		p += n > 0;
		n -= n > 0;
	}
	if (f->channel > 1)
		return 0;
	int which = f->channel == 0 ? PG_PORTFWD_DATA : PG_PORTFWD_ERROR;
	int rc = take_preamble(f, &p, &n, which);
	if (rc < 0 || n == 0)
		return rc;
	if (which == PG_PORTFWD_DATA)
		return pg_portfwd_received(f, p, n);
	keep_text(f, p, n);
	return 0;
}

static int on_ws_data(void *ctx, const uint8_t *p, size_t n, bool first)
{
	struct pg_portfwd *f = ctx;
	if (f->transport == PG_TRANSPORT_TUNNEL)
		return pg_spdy_feed(&f->spdy, p, n);
	return on_channel_data(f, p, n, first);
}

static int on_ws_ping(void *ctx, const uint8_t *p, size_t n)
{
	pg_portfwd_put_urgent(ctx, p, n, PG_WS_PONG);
	return 0;
}

/* Here a Close is the only sign of an orderly end; in the tunnel it cuts what goes on inside. */
static int on_ws_close(void *ctx, uint16_t code)
{
	(void)code; /* 1000 whatever the cause */
	struct pg_portfwd *f = ctx;
	if (f->transport == PG_TRANSPORT_WEBSOCKET || f->has_ended[PG_PORTFWD_DATA] ||
	    f->text_len > 0)
		return -ENODATA;
	return -ECONNRESET;
}

static const struct pg_ws_ops ws_ops = {
	.data = on_ws_data,
	.ping = on_ws_ping,
	.close = on_ws_close,
};

void pg_portfwd_in_init(struct pg_portfwd *f)
{
	f->spdy = (struct pg_spdy_decoder){ .ops = &spdy_ops, .ctx = f };
	f->ws = (struct pg_ws_decoder){ .ops = &ws_ops, .ctx = f };
}

int pg_portfwd_feed(struct pg_portfwd *f, const uint8_t *p, size_t n)
{
	if (f->transport == PG_TRANSPORT_SPDY)
		return pg_spdy_feed(&f->spdy, p, n);
	return pg_ws_feed(&f->ws, p, n);
}

bool pg_portfwd_is_up(const struct pg_portfwd *f)
{
	return f->is_accepted[PG_PORTFWD_ERROR] && f->is_accepted[PG_PORTFWD_DATA];
}

/* The end of the node's sentence: what precedes it names sandboxes and namespaces. */
static const char *point_of(char *text)
{
	size_t n = strlen(text);
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		text[--n] = '\0';
	pg_sanitize(text);
	const char *ns = strstr(text, "network namespace \"");
	const char *rest = ns ? strstr(ns, "\": ") : NULL;
	return rest ? rest + 3 : text;
}

static void conclude_from_text(struct pg_portfwd *f)
{
	struct pg_err *err = &f->verdict;
	const char *point = point_of(f->text);
	if (strstr(point, "connection refused")) {
		pg_fail(err, -ECONNREFUSED, "nobody listens on port %u of the pod.", f->port);
		pg_hint(err, PG_TARGET, "the program there has ended, or not started yet");
		return;
	}
	int code = strstr(point, "reset by peer") ? -ECONNRESET : -EPIPE;
	pg_fail(err, code, "port-forward to port %u of the pod: %.360s.", f->port, point);
	pg_hint(err, PG_LINK, "the node says this: is the pod still running?");
}

void pg_portfwd_conclude(struct pg_portfwd *f, int rc)
{
	struct pg_err *err = &f->verdict;
	f->is_over = true;
	if (f->text_len > 0 && (rc == 0 || rc == -ENODATA || rc == -ECONNRESET)) {
		conclude_from_text(f);
	} else if (rc == -ENODATA || (rc == 0 && f->has_ended[PG_PORTFWD_DATA])) {
		err->code = 0;
	} else if (rc == -EPROTO) {
		pg_fail(err, rc, "port-forward to port %u: the API server sent what is no %s",
			f->port,
			f->transport == PG_TRANSPORT_WEBSOCKET ? "port-forward WebSocket"
							       : "SPDY/3.1");
		pg_hint(err, PG_LINK, "try another --transport");
	} else {
		pg_fail(err, rc == 0 ? -ECONNRESET : rc, "port-forward to port %u of the pod",
			f->port);
		pg_hint(err, PG_LINK,
			"the connection to the API server, or from it to the node, broke");
	}
}
