#include "injector/portfwd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "injector/portfwd_impl.h"
#include "proto/base/auto.h"
#include "proto/base/mem.h"
#include "proto/wire/auth.h"

enum { DIAL_MS = 20000 }; /* upgrade and streams; a node answers in milliseconds, or never */

static const char *const names[] = {
	[PG_TRANSPORT_AUTO] = "auto",
	[PG_TRANSPORT_SPDY] = "spdy",
	[PG_TRANSPORT_TUNNEL] = "tunnel",
	[PG_TRANSPORT_WEBSOCKET] = "websocket",
};
_Static_assert(PG_LEN(names) == PG_TRANSPORT_COUNT, "one name per transport");

/* What each offers, and must hear back. */
static const char *const protocols[] = {
	[PG_TRANSPORT_SPDY] = "portforward.k8s.io",
	[PG_TRANSPORT_TUNNEL] = "SPDY/3.1+portforward.k8s.io",
	[PG_TRANSPORT_WEBSOCKET] = "v4.channel.k8s.io",
};

const char *pg_transport_name(enum pg_transport transport)
{
	return transport < PG_TRANSPORT_COUNT ? names[transport] : "";
}

int pg_transport_parse(const char *name, enum pg_transport *out)
{
	for (size_t i = 0; i < PG_LEN(names); i++)
		if (strcmp(name, names[i]) == 0) {
			*out = (enum pg_transport)i;
			return 0;
		}
	return -EINVAL;
}

/* One attempt by one transport. */
struct dial {
	struct pg_http *http;
	const struct pg_http_peer *peer;
	const char *ns, *pod;
	uint16_t port;
	enum pg_transport transport;
	char key[PG_WS_KEY_TEXT]; /* of the WebSocket handshake */
};

static bool header_is(const struct pg_http_upgraded *answer, const char *name, const char *want)
{
	size_t n = 0;
	const char *value = pg_http_head_value(&answer->head, name, &n);
	return value && n == strlen(want) && strncasecmp(value, want, n) == 0;
}

/* Did the server take up what was offered? Anything else is a proxy's work, or an old server's. */
static int check_answer(const struct dial *d, const struct pg_http_upgraded *answer,
			struct pg_portfwd_refusal *why, struct pg_err *err)
{
	char accept[PG_WS_ACCEPT_TEXT];
	pg_ws_accept(d->key, accept);
	bool is_spdy = d->transport == PG_TRANSPORT_SPDY;
	if (is_spdy ? header_is(answer, "Upgrade", "SPDY/3.1")
		    : header_is(answer, "Sec-WebSocket-Accept", accept) &&
			      header_is(answer, "Sec-WebSocket-Protocol", protocols[d->transport]))
		return 0;
	why->other_may_help = true;
	pg_fail(err, -EPROTO, "the API server did not agree on %s for port-forward",
		is_spdy ? "SPDY/3.1" : protocols[d->transport]);
	return pg_hint(err, PG_CLUSTER, "try another --transport");
}

static int open_conn(struct dial *d, struct pg_http_conn **out, struct pg_http_upgraded *answer,
		     struct pg_err *err)
{
	bool is_spdy = d->transport == PG_TRANSPORT_SPDY;
	uint8_t random[PG_WS_KEY_BYTES];
	pg_random(random, sizeof(random));
	pg_ws_key(random, d->key);
	char query[16] = "", key[64], protocol[64];
	if (d->transport == PG_TRANSPORT_WEBSOCKET)
		snprintf(query, sizeof(query), "?ports=%u", d->port);
	pg_auto_free char *path =
		pg_asprintf("/api/v1/namespaces/%s/pods/%s/portforward%s", d->ns, d->pod, query);
	if (!path)
		return pg_fail(err, -ENOMEM, "port-forward to pod '%s'", d->pod);
	snprintf(key, sizeof(key), "Sec-WebSocket-Key: %s", d->key);
	snprintf(protocol, sizeof(protocol), "%s: %s",
		 is_spdy ? "X-Stream-Protocol-Version" : "Sec-WebSocket-Protocol",
		 protocols[d->transport]);
	const char *const spdy[] = { "Connection: Upgrade", "Upgrade: SPDY/3.1",
				     "Content-Length: 0", protocol, NULL };
	const char *const ws[] = { "Connection: Upgrade",
				   "Upgrade: websocket",
				   "Sec-WebSocket-Version: 13",
				   key,
				   protocol,
				   NULL };
	const struct pg_http_upgrade up = { .method = is_spdy ? "POST" : "GET",
					    .path = path,
					    .headers = is_spdy ? spdy : ws };
	return pg_http_conn_open(d->http, d->peer, &up, DIAL_MS, out, answer, err);
}

/* Waits until both streams are up; on failure *f_out is closed. */
static int await_streams(struct dial *d, struct pg_portfwd *f, struct pg_portfwd_refusal *why,
			 struct pg_err *err)
{
	uint64_t deadline_ms = pg_loop_now_ms(f->loop) + DIAL_MS;
	int rc = pg_loop_wait(f->loop, &f->wake, deadline_ms);
	if (rc == 0 && f->is_over && f->verdict.code < 0) {
		*err = f->verdict;
		why->again_may_help = err->code == -ECONNREFUSED;
		return err->code;
	}
	if (rc == 0 && !pg_portfwd_is_up(f)) {
		why->again_may_help = true;
		return pg_fail(err, -ECONNRESET, "port-forward to port %u of the pod", d->port);
	}
	if (rc == -ETIMEDOUT) {
		pg_fail(err, rc, "the node does not answer the port-forward to pod '%s'.", d->pod);
		return pg_hint(err, PG_CLUSTER, "is the pod's node up?");
	}
	return rc < 0 ? pg_fail(err, rc, "interrupted.") : 0;
}

static int make_lane(struct dial *d, struct pg_http_conn *conn, const struct pg_buf *rest,
		     struct pg_portfwd **out, struct pg_portfwd_refusal *why, struct pg_err *err)
{
	struct pg_portfwd *f = pg_portfwd_new(pg_http_loop(d->http), conn, d->transport, d->port);
	if (!f)
		return pg_fail(err, -ENOMEM, "port-forward to pod '%s'", d->pod);
	int rc = pg_portfwd_start(f, rest);
	rc = rc < 0 ? pg_fail(err, rc, "port-forward to pod '%s'", d->pod)
		    : await_streams(d, f, why, err);
	if (rc < 0) {
		pg_lane_close(&f->lane);
		return rc;
	}
	*out = f;
	return 0;
}

static int dial_once(struct dial *d, struct pg_portfwd **out, struct pg_portfwd_refusal *why,
		     struct pg_err *err)
{
	struct pg_http_conn *conn = NULL;
	struct pg_http_upgraded answer;
	*why = (struct pg_portfwd_refusal){ .transport = d->transport };
	int rc = open_conn(d, &conn, &answer, err);
	if (rc < 0)
		return rc;
	why->status = answer.status == 101 ? 0 : answer.status;
	if (!conn)
		rc = pg_portfwd_refused(&answer, d->ns, d->pod, why, err);
	else
		rc = check_answer(d, &answer, why, err);
	if (rc == 0)
		rc = make_lane(d, conn, &answer.rest, out, why, err);
	else
		pg_http_conn_close(conn);
	pg_buf_fini(&answer.head);
	pg_buf_fini(&answer.rest);
	return rc;
}

int pg_portfwd_dial(struct pg_http *http, const struct pg_http_peer *peer, const char *ns,
		    const char *pod, uint16_t port, enum pg_transport transport,
		    struct pg_lane_events events, void *ctx, struct pg_lane **out,
		    struct pg_portfwd_refusal *why, struct pg_err *err)
{
	bool is_auto = transport == PG_TRANSPORT_AUTO;
	struct dial d = { .http = http,
			  .peer = peer,
			  .ns = ns,
			  .pod = pod,
			  .port = port,
			  .transport = is_auto ? PG_TRANSPORT_SPDY : transport };
	struct pg_portfwd *f = NULL;
	int rc = dial_once(&d, &f, why, err);
	while (rc < 0 && is_auto && why->other_may_help && d.transport < PG_TRANSPORT_WEBSOCKET) {
		d.transport++;
		rc = dial_once(&d, &f, why, err);
	}
	if (rc < 0)
		return rc;
	pg_portfwd_own(f, events, ctx);
	*out = &f->lane;
	return 0;
}
