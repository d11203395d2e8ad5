#include "injector/kube_event.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/base/mem.h"

enum { NOTE_MS = 3000, TIME_TEXT = 24 };

static void time_text(int64_t at, char out[TIME_TEXT])
{
	struct tm utc;
	time_t when = (time_t)at;
	if (!gmtime_r(&when, &utc) || strftime(out, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		out[0] = '\0';
}

char *pg_kube_event_text(const struct pg_pod *pod, const char *reason, const char *message,
			 int64_t now_s)
{
	char now[TIME_TEXT];
	time_text(now_s, now);
	json_t *event = json_pack(
		"{s:s,s:s,s:{s:s,s:s},s:{s:s,s:s,s:s,s:s,s:s},s:s,s:s,s:s,s:{s:s},s:s,s:s,s:s,s:i}",
		"apiVersion", "v1", "kind", "Event", "metadata", "generateName", "podgraft-",
		"namespace", pod->ns, "involvedObject", "apiVersion", "v1", "kind", "Pod",
		"namespace", pod->ns, "name", pod->name, "uid", pod->uid, "reason", reason,
		"message", message, "type", "Normal", "source", "component", "podgraft",
		"reportingComponent", "podgraft", "firstTimestamp", now, "lastTimestamp", now,
		"count", 1);
	char *text = event ? json_dumps(event, JSON_COMPACT) : NULL;
	json_decref(event);
	return text;
}

int pg_kube_event(struct pg_kube_api *api, const struct pg_pod *pod, const char *reason,
		  const char *message, struct pg_err *err)
{
	pg_auto_free char *body = pg_kube_event_text(pod, reason, message, (int64_t)time(NULL));
	pg_auto_free char *path = pg_asprintf("/api/v1/namespaces/%s/events", pod->ns);
	if (!body || !path)
		return pg_fail(err, -ENOMEM, "leave an event");
	struct pg_kube_request rq = {
		.act = { "leave an event", "create", "events", pod->ns },
		.method = "POST",
		.path = path,
		.content_type = "application/json",
		.body = body,
		.deadline_ms = pg_loop_now_ms(api->loop) + NOTE_MS,
	};
	return pg_kube_call(api, &rq, NULL, NULL, err);
}
