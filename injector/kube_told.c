#include "injector/kube_told.h"

#include <stdio.h>
#include <string.h>

#include "injector/kube_json.h"
#include "proto/base/mem.h"

enum { AGAIN_MS = 1500, ASK_MS = 2000 };

/* Events and the waiting reasons that they announce: k8s.io/kubernetes pkg/kubelet/events/event.go,
 * pkg/kubelet/images/image_manager.go, pkg/kubelet/kuberuntime/kuberuntime_container.go. The first
 * that fits counts. */
static const struct {
	const char *event, *begins, *reason; /* reason NULL: says nothing that another does not */
} meanings[] = {
	{ "ErrImageNeverPull", "", "ErrImageNeverPull" },
	{ "InspectFailed", "Failed to apply default image tag", "InvalidImageName" },
	{ "InspectFailed", "", "ImageInspectError" },
	{ "Failed", "Failed to pull image", "ErrImagePull" },
	{ "Failed", "Error: ErrImage", NULL },
	{ "Failed", "Error: ImagePullBackOff", NULL },
	{ "Failed", "Error: InvalidImageName", NULL },
	{ "Failed", "Error: ImageInspectError", NULL },
	{ "Failed", "Error: ", "CreateContainerError" },
};

static const char *find_reason(const char *event, const char *message)
{
	for (size_t i = 0; i < PG_LEN(meanings); i++)
		if (strcmp(meanings[i].event, event) == 0 &&
		    strncmp(meanings[i].begins, message, strlen(meanings[i].begins)) == 0)
			return meanings[i].reason;
	return NULL;
}

/* 'Failed to pull image "x": why' and "Error: why" begin with what the reason says anyway. */
static const char *skip_preface(const char *message)
{
	static const char pull[] = "Failed to pull image \"", error[] = "Error: ";
	const char *end = strstr(message, "\": ");
	if (strncmp(message, pull, sizeof(pull) - 1) == 0 && end)
		return end + 3;
	return strncmp(message, error, sizeof(error) - 1) == 0 ? message + sizeof(error) - 1
							       : message;
}

void pg_kube_told_read(const json_t *list, const char *container, struct pg_kube_told *out)
{
	char path[PG_NAME_MAX + 32];
	const json_t *items = pg_json_at(list, "items");
	snprintf(path, sizeof(path), "spec.ephemeralContainers{%s}", container);
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *e = json_array_get(items, i);
		const char *message = pg_json_str(e, "message");
		const char *reason = find_reason(pg_json_str(e, "reason"), message);
		if (!reason || strcmp(pg_json_str(e, "involvedObject.fieldPath"), path) != 0)
			continue;
		snprintf(out->reason, sizeof(out->reason), "%s", reason);
		snprintf(out->message, sizeof(out->message), "%s", skip_preface(message));
	}
}

void pg_kube_told_ask(struct pg_kube_api *api, const struct pg_pod *pod, const char *container,
		      struct pg_kube_told *t)
{
	uint64_t now_ms = pg_loop_now_ms(api->loop);
	if (now_ms < t->next_ms)
		return;
	pg_auto_free char *path = pg_asprintf(
		"/api/v1/namespaces/%s/events?limit=50&fieldSelector=involvedObject.uid%%3D%s%%2C"
		"involvedObject.fieldPath%%3Dspec.ephemeralContainers%%7B%s%%7D%%2Ctype%%3DWarning",
		pod->ns, pod->uid, container);
	struct pg_kube_request rq = {
		.act = { "look at the pod's events", "list", "events", pod->ns },
		.method = "GET",
		.path = path,
		.deadline_ms = now_ms + ASK_MS,
	};
	json_t *list = NULL;
	t->next_ms = UINT64_MAX;
	if (!path || pg_kube_call(api, &rq, &list, NULL, NULL) < 0)
		return;
	t->next_ms = pg_loop_now_ms(api->loop) + AGAIN_MS;
	pg_kube_told_read(list, container, t);
	json_decref(list);
}
