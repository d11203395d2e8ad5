#include "injector/kube_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_start.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"

/* A banner has 100 bytes; the server hands out no more of a program that never ends its line. */
#define START_OF_LOG "&limitBytes=8192"

enum { QUOTE_MAX = 300, TAIL_MS = 5000, MORE_LINES_MS = 500, FOLLOW_MS = 1500, LAST_MS = 10000 };

/* The server cuts such a tail at its end, so the bytes are for more than the lines can have: an
 * agent says anew within 100 lines what stands, which is 256 lines at most. */
#define LAST_QUERY "&tailLines=800&limitBytes=900000"

bool pg_kube_log_is_early(const struct pg_kube_status *st)
{
	/* The API server has only words for it: k8s.io/kubernetes
	 * pkg/kubelet/kubelet_pods.go, validateContainerLogStatus(). */
	static const char *const early[] = {
		"is waiting to start", "is not available",   "is terminated",
		"no logs yet",         "trying and failing", "does not have a host assigned",
	};
	if (st->http == 204 || st->http == 500 || (st->http >= 502 && st->http <= 504))
		return true;
	if (st->http == 404) /* else the pod itself is missing */
		return strstr(st->message, "the server could not find the requested resource");
	for (size_t i = 0; st->http == 400 && i < PG_LEN(early); i++)
		if (strstr(st->message, early[i]))
			return true;
	return false;
}

/* One way to read the log of a container. All borrowed. */
struct reading {
	struct pg_kube_api *api;
	const char *ns, *pod, *container;
	const char *query;    /* "&follow=true" */
	uint64_t patience_ms; /* in which its answer has to begin, and a banner to come */
};

static int open_log(const struct reading *r, uint64_t deadline_ms, struct pg_http_stream **out,
		    struct pg_kube_status *st, struct pg_err *err)
{
	char what[400];
	snprintf(what, sizeof(what), "read the log of %s in pod '%s'", r->container, r->pod);
	pg_auto_free char *path = pg_asprintf("/api/v1/namespaces/%s/pods/%s/log?container=%s%s",
					      r->ns, r->pod, r->container, r->query);
	if (!path)
		return pg_fail(err, -ENOMEM, "%s", what);
	struct pg_kube_request rq = {
		.act = { what, "get", "pods/log", r->ns },
		.method = "GET",
		.path = path,
		.deadline_ms = deadline_ms,
	};
	return pg_kube_open(r->api, &rq, out, st, err);
}

static uint64_t patience_ends(const struct reading *r, uint64_t deadline_ms)
{
	return pg_min_u64(deadline_ms, pg_loop_now_ms(r->api->loop) + r->patience_ms);
}

/* Opens the log, again and again while it is too early. */
static int open_when_ready(const struct reading *r, uint64_t deadline_ms,
			   struct pg_http_stream **out, struct pg_err *err)
{
	for (uint64_t pause = 50;; pause = pg_min_u64(pause * 2, 1000)) {
		struct pg_kube_status st = { 0 };
		int rc = open_log(r, patience_ends(r, deadline_ms), out, &st, err);
		bool again = st.http != 0 && pg_kube_log_is_early(&st);
		if (rc == 0 || !again || pg_loop_now_ms(r->api->loop) + pause >= deadline_ms)
			return rc;
		rc = pg_kube_sleep(r->api, pause);
		if (rc < 0)
			return pg_fail(err, rc, "read the log of %s", r->container);
	}
}

/* Adds the lines that follow, until `deadline_ms` or `out` is full. */
static void add_lines(struct pg_http_stream *s, uint64_t deadline_ms, char *out, size_t room)
{
	const char *line;
	while (pg_http_stream_line(s, deadline_ms, &line, NULL) == 1) {
		size_t n = strlen(out);
		if (!*line)
			continue;
		snprintf(out + n, room - n, "%s%s", n > 0 ? "; " : "", line);
	}
	pg_sanitize(out);
}

/* An agent that cannot work says why in its first line; an image that is no agent says anything. */
static int no_banner(struct pg_kube_api *api, struct pg_http_stream *s, const char *first,
		     struct pg_err *err)
{
	char said[QUOTE_MAX];
	snprintf(said, sizeof(said), "%s", first);
	bool is_agent = strncmp(first, "podgraft-agent", 14) == 0;
	add_lines(s, pg_loop_now_ms(api->loop) + MORE_LINES_MS, said, sizeof(said));
	pg_fail(err, -EPROTO, "%s%s.",
		is_agent ? "" : "the image's program is no agent, it says: ", said);
	return pg_kube_start_hint(
		said, is_agent ? "kubectl logs shows more" : "choose podgraft's agent with --image",
		err);
}

static int read_banner(struct pg_kube_api *api, struct pg_http_stream *s, uint64_t deadline_ms,
		       struct pg_banner *out, struct pg_err *err)
{
	const char *line;
	int rc = pg_http_stream_line(s, deadline_ms, &line, err);
	if (rc == -ETIMEDOUT || rc == -ECANCELED)
		return rc;
	if (rc <= 0)
		return -ENODATA;
	rc = pg_banner_parse(line, out);
	if (rc == -EPROTONOSUPPORT) {
		pg_fail(err, rc, "the agent speaks version %u, we speak 1.", out->version);
		return pg_hint(err, PG_USER, "use the image of this version: " PG_VERSION);
	}
	return rc < 0 ? no_banner(api, s, line, err) : 0;
}

/* -ETIMEDOUT when the reader's patience ends, or all time. */
static int find_banner(const struct reading *r, uint64_t deadline_ms, struct pg_banner *out,
		       struct pg_err *err)
{
	struct pg_http_stream *s = NULL;
	int rc = open_when_ready(r, deadline_ms, &s, err);
	if (rc == 0)
		rc = read_banner(r->api, s, patience_ends(r, deadline_ms), out, err);
	pg_http_stream_close(s);
	return rc;
}

int pg_kube_log_banner(struct pg_kube_api *api, const char *ns, const char *pod,
		       const char *container, uint64_t deadline_ms, struct pg_banner *out,
		       struct pg_err *err)
{
	struct reading follow = { api, ns, pod, container, START_OF_LOG "&follow=true", FOLLOW_MS };
	struct reading by_now = { api, ns, pod, container, START_OF_LOG, TAIL_MS };
	int rc = find_banner(&follow, deadline_ms, out, err);
	/* A proxy that buffers keeps the line until the log ends: ask for what there is by now. */
	if (rc == -ETIMEDOUT && pg_loop_now_ms(api->loop) < deadline_ms)
		rc = find_banner(&by_now, deadline_ms, out, err);
	if (rc == -ENODATA || rc == -ETIMEDOUT) {
		pg_fail(err, rc, "%s runs, but says nothing.", container);
		return pg_hint(err, PG_TARGET, "is --image an image of podgraft's agent?");
	}
	return rc == -ECANCELED ? pg_fail(err, rc, "read the log of %s", container) : rc;
}

void pg_kube_log_tail(struct pg_kube_api *api, const char *ns, const char *pod,
		      const char *container, char *out, size_t room)
{
	struct reading tail = { api, ns, pod, container, "&tailLines=5&limitBytes=2048", TAIL_MS };
	struct pg_http_stream *s = NULL;
	struct pg_kube_status st;
	uint64_t deadline = patience_ends(&tail, UINT64_MAX);
	out[0] = '\0';
	if (open_log(&tail, deadline, &s, &st, NULL) < 0)
		return;
	add_lines(s, deadline, out, room);
	pg_http_stream_close(s);
}

int pg_kube_log_last(struct pg_kube_api *api, const char *ns, const char *pod,
		     const char *container, void (*line)(void *ctx, const char *text), void *ctx,
		     struct pg_err *err)
{
	struct pg_http_stream *s = NULL;
	struct pg_kube_status st = { 0 };
	struct reading last = { api, ns, pod, container, LAST_QUERY, LAST_MS };
	uint64_t deadline = patience_ends(&last, UINT64_MAX);
	int rc = open_log(&last, deadline, &s, &st, err);
	if (rc < 0)
		return st.http != 0 && pg_kube_log_is_early(&st) ? 0 : rc;
	const char *text;
	while ((rc = pg_http_stream_line(s, deadline, &text, err)) == 1)
		line(ctx, text);
	pg_http_stream_close(s);
	return rc;
}
