#include "injector/kube_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_json.h"
#include "injector/kube_known.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"
#include "proto/wire/auth.h"

enum {
	POLL_MS = 1000,
	POLL_MANY_MS = 2000,
	SILENT_MS = 2000,      /* of one pod's watch: it may be deaf */
	OPEN_MANY_MS = 5000,   /* for the answer's first byte */
	SILENT_MANY_MS = 5000, /* of a watch of many, doubled as long as it was not late ... */
	SILENT_MOST_MS = 60000,
	POLLS_MOST_MS = 300000, /* many pods; then a watch may do again */
	LIST_MS = 15000, /* for many pods over a slow path, however short the caller's patience */
	PATH_MAX_BYTES = 8192,
	TRIES = 5
};

struct pg_kube_watch {
	struct pg_kube_api *api;
	char ns[PG_NAME_MAX + 1];
	char what[320];  /* for messages */
	char *list_path; /* the collection with its selector: ends in a query */
	char *read_path; /* what a reading asks for: the one pod, or the collection */
	bool is_single;
	char rv[64]; /* "": take a reading first */
	uint64_t until_ms;
	struct pg_http_stream *stream; /* NULL: not open */
	bool polls;                    /* no right to watch, or nothing comes through */
	uint64_t poll_at_ms, polls_until_ms;
	uint64_t check_at_ms; /* a stream that is silent until then may be deaf */
	uint64_t silent_ms;   /* how long it may be */
	unsigned losses;      /* streams in a row that gave nothing */
	unsigned forgotten;   /* versions in a row that the server knew no more */
	json_t *items;        /* of a reading, an array; NULL: none */
	json_t *known;        /* of many pods: see kube_known.h */
	json_t *left;         /* of many pods: those that a reading found gone, to be told */
	size_t at;            /* next of items */
	bool gone;            /* a reading of the one pod found none: to be told */
};

int pg_kube_event_parse(const char *line, struct pg_kube_event *out)
{
	static const struct {
		const char *name;
		enum pg_kube_event_type type;
	} types[] = {
		{ "ADDED", PG_KUBE_EV_CHANGED },   { "MODIFIED", PG_KUBE_EV_CHANGED },
		{ "DELETED", PG_KUBE_EV_DELETED }, { "BOOKMARK", PG_KUBE_EV_BOOKMARK },
		{ "ERROR", PG_KUBE_EV_ERROR },
	};
	json_t *event = pg_json_parse(line, strlen(line), NULL);
	json_t *object = pg_json_at(event, "object");
	const char *type = pg_json_str(event, "type");
	if (!type[0] || !json_is_object(object)) {
		json_decref(event);
		return -EPROTO;
	}
	*out = (struct pg_kube_event){ .type = PG_KUBE_EV_OTHER };
	for (size_t i = 0; i < PG_LEN(types); i++)
		if (strcmp(types[i].name, type) == 0)
			out->type = types[i].type;
	pg_json_copy(object, "metadata.resourceVersion", out->rv, sizeof(out->rv));
	if (out->type == PG_KUBE_EV_ERROR) {
		char *text = json_dumps(object, JSON_COMPACT);
		pg_kube_status_parse(200, text ? text : "", text ? strlen(text) : 0, &out->status);
		free(text);
	}
	if (out->type == PG_KUBE_EV_CHANGED || out->type == PG_KUBE_EV_DELETED)
		out->object = json_incref(object);
	json_decref(event);
	return 0;
}

/* "/api/v1/namespaces/NS/pods" with a field or label selector as its query. */
static char *collection_path(const char *ns, const char *name, const char *label_selector)
{
	struct pg_buf p = PG_BUF_INIT(PATH_MAX_BYTES);
	int rc = pg_buf_addf(&p, "/api/v1/namespaces/%s/pods?%s", ns,
			     name ? "fieldSelector=metadata.name%3D" : "labelSelector=");
	if (rc == 0)
		rc = pg_kube_escape(&p, name ? name : label_selector);
	char *path = rc == 0 ? pg_strdup(pg_buf_str(&p)) : NULL;
	pg_buf_fini(&p);
	return path;
}

struct pg_kube_watch *pg_kube_watch_new(struct pg_kube_api *api, const char *ns, const char *name,
					const char *label_selector, const char *rv,
					uint64_t until_ms)
{
	struct pg_kube_watch *w = pg_calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->api = api;
	w->is_single = name != NULL;
	w->until_ms = until_ms;
	w->silent_ms = name ? SILENT_MS : SILENT_MANY_MS;
	w->known = pg_kube_known_new();
	w->left = json_array();
	snprintf(w->ns, sizeof(w->ns), "%s", ns);
	snprintf(w->what, sizeof(w->what), "watch %s%s%s", name ? "pod '" : "pods",
		 name ? name : "", name ? "'" : "");
	snprintf(w->rv, sizeof(w->rv), "%s", rv);
	w->list_path = collection_path(ns, name, label_selector);
	w->read_path = name ? pg_asprintf("/api/v1/namespaces/%s/pods/%s", ns, name)
			    : collection_path(ns, NULL, label_selector);
	if (!w->list_path || !w->read_path || !w->known || !w->left) {
		pg_kube_watch_free(w);
		return NULL;
	}
	return w;
}

static void close_stream(struct pg_kube_watch *w)
{
	if (w->stream)
		pg_http_stream_close(w->stream);
	w->stream = NULL;
}

void pg_kube_watch_free(struct pg_kube_watch *w)
{
	if (!w)
		return;
	close_stream(w);
	json_decref(w->items);
	json_decref(w->known);
	json_decref(w->left);
	free(w->list_path);
	free(w->read_path);
	free(w);
}

static void list_reset(void *ctx)
{
	struct pg_kube_watch *w = ctx;
	json_decref(w->items);
	w->items = json_array();
	w->at = 0;
}

static void list_item(void *ctx, json_t *item)
{
	struct pg_kube_watch *w = ctx;
	json_array_append(w->items, item);
}

/* All of the collection: only what is not known yet stays to be told. Not -ETIMEDOUT: that means
 * that the caller's time is over, and nothing is new. */
static int take_list(struct pg_kube_watch *w, struct pg_kube_request *rq, struct pg_err *err)
{
	struct pg_kube_list list = { list_reset, list_item, w };
	struct pg_err why = { .code = 0 };
	rq->deadline_ms = pg_max(rq->deadline_ms, pg_loop_now_ms(w->api->loop) + LIST_MS);
	int rc = pg_kube_each(w->api, rq, &list, w->rv, sizeof(w->rv), &why);
	if (rc == -ETIMEDOUT)
		rc = why.code = -EHOSTUNREACH;
	json_t *changed = json_array();
	if (rc == 0)
		pg_kube_known_list(w->known, w->items, changed, w->left);
	json_decref(w->items); /* half a list says nothing of what is gone */
	w->items = changed;
	w->at = 0;
	if (rc < 0 && err)
		*err = why;
	return rc;
}

/* Reads how things are now into `items`, and the version from which a watch goes on. */
static int take_reading(struct pg_kube_watch *w, uint64_t deadline_ms, struct pg_err *err)
{
	struct pg_kube_request rq = {
		.act = { w->what, w->is_single ? "get" : "list", "pods", w->ns },
		.method = "GET",
		.path = w->read_path,
		.deadline_ms = deadline_ms,
	};
	w->poll_at_ms = pg_loop_now_ms(w->api->loop) + (w->is_single ? POLL_MS : POLL_MANY_MS);
	if (!w->is_single)
		return take_list(w, &rq, err);
	json_t *pod = NULL;
	list_reset(w);
	int rc = pg_kube_call(w->api, &rq, &pod, NULL, err);
	w->gone = rc == -ENOENT;
	if (rc == 0) {
		pg_json_copy(pod, "metadata.resourceVersion", w->rv, sizeof(w->rv));
		json_array_append_new(w->items, pod);
	}
	return w->gone ? 0 : rc;
}

/* However long a server asks us to wait, the caller's time is the limit. */
static int pause_until(struct pg_kube_watch *w, uint64_t ms, uint64_t deadline_ms)
{
	uint64_t now = pg_loop_now_ms(w->api->loop);
	return pg_kube_sleep(w->api, pg_min_u64(ms, deadline_ms > now ? deadline_ms - now : 0));
}

/* From now on by readings: `why` says what is wrong with the stream. */
static void poll_instead(struct pg_kube_watch *w, const char *why)
{
	pg_log(w->api->log, PG_DEBUG, "%s; reading %s instead", why,
	       w->is_single ? "it each second" : "them every two seconds");
	close_stream(w);
	w->polls = true;
	w->polls_until_ms =
		w->is_single ? UINT64_MAX : pg_loop_now_ms(w->api->loop) + POLLS_MOST_MS;
}

/* A proxy that buffers answers keeps a watch from us, be it for minutes: whether things are other
 * than the silent stream has told. */
static int check_stream(struct pg_kube_watch *w, uint64_t deadline_ms)
{
	char was[sizeof(w->rv)];
	memcpy(was, w->rv, sizeof(was));
	int rc = take_reading(w, deadline_ms, NULL);
	bool is_late = w->is_single ? w->gone || strcmp(was, w->rv) != 0
				    : json_array_size(w->items) + json_array_size(w->left) > 0;
	if (rc == -ECANCELED)
		return rc;
	if (rc == 0 && is_late)
		poll_instead(w, "the watch is late: a proxy before the API server may buffer it");
	else if (w->items) /* no news */
		w->at = json_array_size(w->items);
	if (!w->is_single)
		w->silent_ms = pg_min_u64(2 * w->silent_ms, SILENT_MOST_MS);
	w->check_at_ms = pg_loop_now_ms(w->api->loop) + w->silent_ms;
	return 0;
}

/* The server knows our version no more: take a reading. That of one pod gives the version of the
 * pod, which is forgotten again where nothing has changed the pod for long; hence the pause. */
static int forget_version(struct pg_kube_watch *w, uint64_t deadline_ms)
{
	w->rv[0] = '\0';
	return w->forgotten++ == 0 ? 0 : pause_until(w, 500, deadline_ms);
}

/* Opens the watch at w->rv, or, where the server has forgotten that, with whatever there is. What
 * can be mended is mended by the next reading: 0. */
static int open_stream(struct pg_kube_watch *w, uint64_t deadline_ms, struct pg_err *err)
{
	struct pg_kube_status st;
	bool from_now = w->is_single && w->forgotten > 0;
	char *path = pg_asprintf("%s&watch=true&allowWatchBookmarks=true&timeoutSeconds=300%s%s",
				 w->list_path,
				 from_now ? "" : "&resourceVersion=", from_now ? "" : w->rv);
	if (!path)
		return pg_fail(err, -ENOMEM, "%s", w->what);
	uint64_t now = pg_loop_now_ms(w->api->loop);
	struct pg_kube_request rq = {
		.act = { w->what, "watch", "pods", w->ns },
		.method = "GET",
		.path = path,
		.deadline_ms =
			pg_min_u64(w->until_ms, now + (w->is_single ? SILENT_MS : OPEN_MANY_MS)),
	};
	int rc = pg_kube_open(w->api, &rq, &w->stream, &st, err);
	free(path);
	w->check_at_ms = now + w->silent_ms;
	if ((rc == -EACCES && st.http == 403) || rc == -ETIMEDOUT) {
		poll_instead(w, err->what);
		return 0;
	}
	if (rc == -ESTALE)
		return forget_version(w, deadline_ms);
	if (rc < 0 && rc != -ECANCELED && w->losses < TRIES)
		return pause_until(w, pg_kube_backoff_ms(w->losses++, st.retry_after_s, 0),
				   deadline_ms);
	return rc;
}

/* The next line of the stream into *ev: 1; 0 when there is none and the caller goes on. */
static int read_stream(struct pg_kube_watch *w, uint64_t caller_ms, struct pg_kube_event *ev,
		       struct pg_err *err)
{
	const char *line;
	uint64_t deadline_ms = pg_min_u64(caller_ms, w->check_at_ms);
	int rc = pg_http_stream_line(w->stream, deadline_ms, &line, err);
	if (rc == -ECANCELED)
		return rc;
	if (rc == -ETIMEDOUT)
		return w->check_at_ms < caller_ms ? 0 : rc;
	w->check_at_ms = pg_loop_now_ms(w->api->loop) + w->silent_ms;
	if (rc <= 0 || pg_kube_event_parse(line, ev) < 0) {
		close_stream(w); /* an orderly end and a loss alike: go on from the last version */
		return w->losses++ == 0 ? 0 : pg_kube_sleep(w->api, 500);
	}
	w->losses = 0;
	if (ev->type == PG_KUBE_EV_ERROR) { /* mostly 410: the version is forgotten */
		close_stream(w);
		return forget_version(w, caller_ms);
	}
	w->forgotten = 0;
	if (ev->rv[0])
		snprintf(w->rv, sizeof(w->rv), "%s", ev->rv);
	return 1;
}

/* Tells what a reading found, if there is something left: true. */
static bool tell_reading(struct pg_kube_watch *w, enum pg_kube_change *change, json_t **pod_out)
{
	if (w->gone) {
		w->gone = false;
		*change = PG_KUBE_GONE;
		*pod_out = NULL;
		return true;
	}
	size_t left = json_array_size(w->left);
	if (left > 0) { /* first: one may come again under the same name */
		*change = PG_KUBE_GONE;
		*pod_out = json_incref(json_array_get(w->left, left - 1));
		json_array_remove(w->left, left - 1);
		return true;
	}
	if (w->at >= json_array_size(w->items))
		return false;
	*change = PG_KUBE_CHANGED;
	*pod_out = json_incref(json_array_get(w->items, w->at++));
	return true;
}

/* One step towards an event: 1 with *ev, 0 to look again, or a failure. */
static int step(struct pg_kube_watch *w, uint64_t deadline_ms, struct pg_kube_event *ev,
		struct pg_err *err)
{
	uint64_t now = pg_loop_now_ms(w->api->loop);
	if (now >= deadline_ms)
		return -ETIMEDOUT;
	if (w->stream && now >= w->check_at_ms)
		return check_stream(w, deadline_ms);
	if (w->stream)
		return read_stream(w, deadline_ms, ev, err);
	if (now >= w->polls_until_ms)
		w->polls = false;
	if (w->polls && now < w->poll_at_ms)
		return pg_kube_sleep(w->api, pg_min_u64(w->poll_at_ms, deadline_ms) - now);
	if (w->polls || !w->rv[0])
		return take_reading(w, deadline_ms, err);
	return open_stream(w, deadline_ms, err);
}

int pg_kube_watch_next(struct pg_kube_watch *w, uint64_t deadline_ms, enum pg_kube_change *change,
		       json_t **pod_out, struct pg_err *err)
{
	while (!tell_reading(w, change, pod_out)) {
		struct pg_kube_event ev = { .object = NULL };
		int rc = step(w, deadline_ms, &ev, err);
		if (rc == -ECANCELED)
			return pg_fail(err, rc, "%s", w->what);
		if (rc < 0)
			return rc;
		if (rc == 0 || !ev.object)
			continue;
		*change = ev.type == PG_KUBE_EV_DELETED ? PG_KUBE_GONE : PG_KUBE_CHANGED;
		*pod_out = ev.object;
		if (!w->is_single)
			pg_kube_known_hear(w->known, ev.object, *change == PG_KUBE_GONE);
		return 0;
	}
	return 0;
}

bool pg_kube_watch_has_more(const struct pg_kube_watch *w)
{
	return w->gone || json_array_size(w->left) > 0 || w->at < json_array_size(w->items);
}
