#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "injector/portfwd_impl.h"
#include "proto/base/num.h"

/* An answer other than 101. API servers speak JSON (a Status object), kubelets and runtimes plain
 * text, proxies HTML: who speaks tells more than the number does. */

struct said {
	bool is_status; /* JSON: the API server itself */
	bool is_empty;
	char text[384]; /* clean to print */
};

static void read_body(const struct pg_buf *body, struct said *out)
{
	json_t *status = json_loadb(pg_buf_str(body), body->len, 0, NULL);
	const char *message = json_string_value(json_object_get(status, "message"));
	out->is_status = message != NULL;
	out->is_empty = body->len == 0;
	snprintf(out->text, sizeof(out->text), "%s", message ? message : pg_buf_str(body));
	json_decref(status);
	out->text[strcspn(out->text, "\r\n")] = '\0';
	pg_sanitize(out->text);
}

static bool says(const struct said *s, const char *what)
{
	return strstr(s->text, what) != NULL;
}

static int refused_403(const struct said *s, const char *ns, struct pg_portfwd_refusal *why,
		       struct pg_err *err)
{
	if (!s->is_status) {
		/* The runtime's answer to a subprotocol that it does not know. */
		why->other_may_help = true;
		pg_fail(err, -EACCES, "port-forward by %s is refused%s%s.",
			pg_transport_name(why->transport), s->is_empty ? "" : ": ", s->text);
		return pg_hint(err, PG_CLUSTER, "try another --transport");
	}
	pg_fail(err, -EACCES, "no right to port-forward: %s.", s->text);
	return pg_hint(err, PG_CLUSTER,
		       "your role needs the verbs get and create on pods/portforward in namespace "
		       "'%s'",
		       ns);
}

static int refused_401(const struct said *s, struct pg_portfwd_refusal *why, struct pg_err *err)
{
	why->is_unauthorized = true;
	pg_fail(err, -EACCES, "the API server does not know who you are: %s.", s->text);
	return pg_hint(err, PG_CLUSTER, "log in again: token or client certificate are not valid");
}

static int refused_404(const struct said *s, const char *ns, const char *pod,
		       struct pg_portfwd_refusal *why, struct pg_err *err)
{
	why->again_may_help = !s->is_status; /* the kubelet has not heard of it yet */
	pg_fail(err, -ENOENT, "no pod '%s' in namespace '%s'.", pod, ns);
	return pg_hint(err, PG_TARGET, "it is gone, or not there yet");
}

/* 400, 405 and their kin: something in between, a setting, or a pod in the making. */
static int refused_request(const struct said *s, const char *pod, struct pg_portfwd_refusal *why,
			   struct pg_err *err)
{
	pg_fail(err, -EINVAL, "port-forward to pod '%s' is refused with HTTP %d: %s", pod,
		why->status, s->is_empty ? "no reason given" : s->text);
	if (says(s, "does not have a host assigned")) {
		why->again_may_help = true;
		return pg_hint(err, PG_TARGET, "the pod waits for a node");
	}
	if (says(s, "Debug endpoints are disabled"))
		return pg_hint(err, PG_CLUSTER, "the node's kubelet forbids port-forward");
	why->other_may_help = true;
	return pg_hint(err, PG_CLUSTER,
		       "a proxy before the API server may strip upgrades: try --transport "
		       "websocket");
}

static int refused_busy(const struct said *s, const char *pod, struct pg_portfwd_refusal *why,
			struct pg_err *err)
{
	why->again_may_help = true;
	why->other_may_help = !s->is_status && why->status >= 501; /* a proxy's page */
	pg_fail(err, why->status == 429 ? -EBUSY : -EREMOTEIO,
		"port-forward to pod '%s' fails with HTTP %d: %s.", pod, why->status,
		s->is_empty ? "no reason given" : s->text);
	if (says(s, "error dialing backend"))
		return pg_hint(err, PG_CLUSTER,
			       "the API server cannot reach the pod's node: is the node up?");
	if (why->status == 500 && !s->is_status)
		return pg_hint(err, PG_TARGET, "the pod is not running on its node, or not yet");
	return pg_hint(err, PG_CLUSTER, "the API server or a proxy before it is busy; try again");
}

int pg_portfwd_refused(const struct pg_http_upgraded *answer, const char *ns, const char *pod,
		       struct pg_portfwd_refusal *why, struct pg_err *err)
{
	struct said s;
	size_t n = 0;
	read_body(&answer->rest, &s);
	const char *after = pg_http_head_value(&answer->head, "Retry-After", &n);
	if (after)
		pg_parse_u64n(after, n, 0, 3600, &why->retry_after_s);
	switch (answer->status) {
	case 401:
		return refused_401(&s, why, err);
	case 403:
		return refused_403(&s, ns, why, err);
	case 404:
		return refused_404(&s, ns, pod, why, err);
	default:
		break;
	}
	if (answer->status == 429 || answer->status >= 500)
		return refused_busy(&s, pod, why, err);
	if (answer->status >= 400)
		return refused_request(&s, pod, why, err);
	pg_fail(err, -EPROTO, "HTTP %d is no answer of an API server to a port-forward",
		answer->status);
	return pg_hint(err, PG_CLUSTER, "is the server address right?");
}
