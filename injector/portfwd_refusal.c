#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "injector/kube_status.h"
#include "injector/portfwd_impl.h"
#include "proto/base/num.h"

/* An answer other than 101. API servers speak JSON (a Status object), kubelets and runtimes plain
 * text, proxies HTML: who speaks tells more than the number does. */

struct said {
	struct pg_kube_status st;
	bool is_status; /* the API server itself */
	char what[300]; /* "port-forward to pod 'web-0'": opens the message */
};

static bool says(const struct said *s, const char *text)
{
	return strstr(s->st.message, text) != NULL;
}

static const char *words(const struct said *s)
{
	return s->st.message[0] ? s->st.message : "no reason given";
}

static int refused_by_server(const struct said *s, const char *ns,
			     const struct pg_portfwd_refusal *why, struct pg_err *err)
{
	bool is_post = why->transport == PG_TRANSPORT_SPDY;
	const struct pg_kube_act act = { .what = s->what,
					 .verb = is_post ? "create" : "get,create",
					 .resource = "pods/portforward",
					 .ns = ns };
	return pg_kube_refused(&s->st, &act, err);
}

/* The runtime's answer to a subprotocol that it does not know, or a proxy's. */
static int refused_protocol(const struct said *s, struct pg_portfwd_refusal *why,
			    struct pg_err *err)
{
	why->other_may_help = true;
	pg_fail(err, -EACCES, "%s by %s is refused with 403: %.300s.", s->what,
		pg_transport_name(why->transport), words(s));
	return pg_hint(err, PG_CLUSTER, "try another --transport");
}

/* 400, 405 and their kin: a setting, a pod in the making, or something in between. */
static int refused_request(const struct said *s, struct pg_portfwd_refusal *why, struct pg_err *err)
{
	pg_fail(err, -EINVAL, "%s is refused with %d: %.300s", s->what, why->status, words(s));
	if (says(s, "does not have a host assigned")) {
		why->again_may_help = true;
		return pg_hint(err, PG_TARGET, "the pod waits for a node");
	}
	if (says(s, "Debug endpoints are disabled"))
		return pg_hint(err, PG_CLUSTER, "the node's kubelet forbids port-forward");
	why->other_may_help = true;
	return pg_hint(err, PG_CLUSTER,
		       "a proxy before the API server passes no upgrades: it has to pass the "
		       "headers Connection and Upgrade; or go past it with --server");
}

/* A kubelet or runtime in plain text: the pod is not there yet, or no more. */
static int refused_by_node(const struct said *s, struct pg_portfwd_refusal *why, struct pg_err *err)
{
	why->again_may_help = true;
	pg_fail(err, why->status == 404 ? -ENOENT : -EREMOTEIO, "%s fails on its node: %.300s.",
		s->what, words(s));
	return pg_hint(err, PG_TARGET, "the pod is not running there, or not yet");
}

int pg_portfwd_refused(const struct pg_http_upgraded *answer, const char *ns, const char *pod,
		       struct pg_portfwd_refusal *why, struct pg_err *err)
{
	struct said s = { .is_status = pg_buf_str(&answer->rest)[0] == '{' };
	size_t n = 0;
	int status = answer->status;
	snprintf(s.what, sizeof(s.what), "port-forward to pod '%s'", pod);
	pg_kube_status_parse(status, pg_buf_str(&answer->rest), answer->rest.len, &s.st);
	why->retry_after_s = s.st.retry_after_s;
	const char *after = pg_http_head_value(&answer->head, "Retry-After", &n);
	if (after)
		pg_parse_u64n(after, n, 0, 3600, &why->retry_after_s);
	if (status == 403 && !s.is_status)
		return refused_protocol(&s, why, err);
	if ((status == 404 || status == 500) && !s.is_status)
		return refused_by_node(&s, why, err);
	why->is_unauthorized = status == 401;
	why->again_may_help = status == 429 || status >= 500;
	why->other_may_help = status > 500 && !s.is_status; /* a proxy's page */
	if (status >= 400 && status < 500 && status != 401 && status != 403 && status != 404 &&
	    status != 429)
		return refused_request(&s, why, err);
	return refused_by_server(&s, ns, why, err);
}
