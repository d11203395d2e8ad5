#include "injector/kube_start.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "injector/kube_json.h"
#include "injector/kube_pod.h"

/* Sorts of trouble: those of one sort alternate while the kubelet tries again. */
enum { NONE, PULL, CREATE, FATAL };

/* How often and how long trouble is looked at: the status does not change, and no event comes, when
 * the kubelet meets the same trouble again. */
static const struct {
	unsigned sights;
	uint64_t lasts_ms;
} patience[] = {
	[NONE] = { 1, 0 },
	[PULL] = { 2, 5000 },
	[CREATE] = { 3, 6000 },
	[FATAL] = { 1, 0 },
};

/* The kubelet's waiting reasons: k8s.io/kubernetes pkg/kubelet/images/types.go and
 * pkg/kubelet/kuberuntime/kuberuntime_container.go. Any other only means: not yet. */
static const struct {
	const char *reason;
	int sort;
	const char *says; /* in plain words */
	const char *hint;
} troubles[] = {
	{ "ErrImagePull", PULL, "the node cannot pull the image", "" },
	{ "ImagePullBackOff", PULL, "the node cannot pull the image", "" },
	{ "RegistryUnavailable", PULL, "the node does not reach the image's registry", "" },
	{ "ErrImageNeverPull", FATAL, "the image is not on the node and must not be pulled",
	  "leave --pull-policy Never out, or load the image onto the node" },
	{ "InvalidImageName", FATAL, "this is no name of an image",
	  "name it as REGISTRY/NAME:TAG with --image" },
	{ "ImageInspectError", FATAL, "the node cannot read the image",
	  "the copy on the node may be damaged: try --pull-policy Always" },
	{ "SignatureValidationFailed", FATAL, "the node does not accept the image's signature",
	  "use a signed image: --image" },
	{ "CreateContainerConfigError", CREATE, "the container cannot be configured",
	  "see the pod's events: kubectl describe pod" },
	{ "CreateContainerError", CREATE, "the container cannot be created",
	  "see the pod's events: kubectl describe pod" },
	{ "RunContainerError", FATAL, "the container cannot be started",
	  "is --image an image of podgraft's agent, built for the node's CPU?" },
};

/* What the messages of registries and runtimes mean; matched in this order. */
static const struct {
	const char *text, *hint;
} remedies[] = {
	{ "no match for platform",
	  "the image is not built for the node's CPU: choose another with --image" },
	{ "exec format error",
	  "the image is not built for the node's CPU: choose another with --image" },
	{ "toomanyrequests",
	  "the registry limits pulls: try again later, or use a copy of the image with --image" },
	{ "429 Too Many Requests",
	  "the registry limits pulls: try again later, or use a copy of the image with --image" },
	{ "x509: ", "the node does not trust the registry's certificate: use a registry that it "
		    "trusts, with --image" },
	{ "first record does not look like a TLS handshake",
	  "the node speaks HTTPS with this registry, which does not: use another, with --image" },
	{ "server gave HTTP response to HTTPS client",
	  "the node speaks HTTPS with this registry, which does not: use another, with --image" },
	{ "500 Internal Server Error",
	  "the registry is out of order: try again later, or use another, with --image" },
	{ "502 Bad Gateway",
	  "the registry is out of order: try again later, or use another, with --image" },
	{ "503 Service Unavailable",
	  "the registry is out of order: try again later, or use another, with --image" },
	{ "executable file not found", "is --image an image of podgraft's agent?" },
	{ "no such file or directory", "is --image an image of podgraft's agent?" },
	{ "not found",
	  "there is no such image: choose one with --image, or load it onto the node" },
	{ "unauthorized", "the node may not pull it: the pod's imagePullSecrets are used; or "
			  "choose another with --image" },
	{ "401 Unauthorized", "the node may not pull it: the pod's imagePullSecrets are used; or "
			      "choose another with --image" },
	{ "403 Forbidden",
	  "the node may not pull it, or there is no such image: choose another with --image" },
	{ "permission denied", "is --image an image of podgraft's agent?" },
	{ "denied",
	  "the node may not pull it, or there is no such image: choose another with --image" },
	{ "authorization failed", "the node may not pull it: choose another with --image" },
	{ "no such host",
	  "the node does not find the registry: use one that it reaches, with --image" },
	{ "dial tcp",
	  "the node does not reach the registry: use one that it reaches, with --image" },
	{ "timeout",
	  "the node does not reach the registry in time: use one that it reaches, with --image" },
	{ "unable to find target container",
	  "the target container has not started: kubectl get pod says why" },
	{ "NET_ADMIN",
	  "the cluster keeps NET_ADMIN from the agent; --profile forward works without" },
};

int pg_kube_start_hint(const char *message, const char *otherwise, struct pg_err *err)
{
	for (size_t i = 0; i < PG_LEN(remedies); i++) {
		if (strstr(message, remedies[i].text))
			return pg_hint(err, PG_TARGET, "%s", remedies[i].hint);
	}
	return pg_hint(err, PG_TARGET, "%s", otherwise);
}

static const json_t *state_of(const json_t *pod, const char *container)
{
	const json_t *st =
		pg_json_find(pod, "status.ephemeralContainerStatuses", "name", container);
	return pg_json_at(st, "state");
}

bool pg_kube_is_running(const json_t *pod, const char *container)
{
	return pg_kube_pod_life(pod) == PG_KUBE_LIVE &&
	       pg_json_at(state_of(pod, container), "running") != NULL;
}

bool pg_kube_may_start(const json_t *pod, const char *container)
{
	return pg_kube_pod_life(pod) == PG_KUBE_LIVE &&
	       !pg_json_at(state_of(pod, container), "terminated");
}

/* What a program wrote last, as one line that is clean to print. */
static void one_line(const char *text, char *out, size_t room)
{
	snprintf(out, room, "%s", text);
	size_t n = strlen(out);
	while (n > 0 && strchr(" \t\r\n", out[n - 1]))
		out[--n] = '\0';
	for (char *s = out; *s; s++)
		if (*s == '\n' || *s == '\r')
			*s = ' ';
	pg_sanitize(out);
}

static enum pg_kube_step ended(const json_t *pod, const json_t *terminated, const char *container,
			       struct pg_err *err)
{
	char reason[64], message[300];
	int64_t code = pg_json_int(terminated, "exitCode", 0);
	pg_json_copy(terminated, "reason", reason, sizeof(reason));
	one_line(pg_json_str(terminated, "message"), message, sizeof(message));
	pg_fail(err, -ECHILD, "the agent %s in pod '%s' ended at once (%s, exit %lld)%s%s.",
		container, pg_json_str(pod, "metadata.name"), reason[0] ? reason : "no reason",
		(long long)code, message[0] ? ": " : "", message);
	if (strcmp(reason, "OOMKilled") == 0)
		pg_hint(err, PG_TARGET, "the pod's memory is used up: its limit must be higher");
	else if (code == 137)
		pg_hint(err, PG_TARGET,
			"somebody killed it, or its target container ended: try "
			"again");
	else
		pg_kube_start_hint(message, "is --image an image of podgraft's agent?", err);
	return PG_KUBE_ENDED;
}

static int find_trouble(const char *reason)
{
	for (size_t i = 0; i < PG_LEN(troubles); i++)
		if (strcmp(troubles[i].reason, reason) == 0)
			return (int)i;
	return -1;
}

/* Takes note of trouble: true when it has been seen often or long enough. */
static bool is_enough(struct pg_kube_start *s, int sort, const char *reason, const char *message,
		      uint64_t now_ms)
{
	char now_seen[sizeof(s->seen)];
	snprintf(now_seen, sizeof(now_seen), "%s: %s", reason, message);
	if (sort != s->sort) {
		s->sort = sort;
		s->sights = 0;
		s->since_ms = now_ms;
		s->seen[0] = s->detail[0] = '\0';
	}
	if (strcmp(now_seen, s->seen) != 0) {
		s->sights++;
		memcpy(s->seen, now_seen, sizeof(s->seen));
	}
	/* "Back-off pulling image" hides what "ErrImagePull" said before. */
	if (!s->detail[0] || strncmp(message, "Back-off", 8) != 0)
		snprintf(s->detail, sizeof(s->detail), "%s", message);
	s->recheck_ms = s->since_ms + patience[sort].lasts_ms;
	return s->sights >= patience[sort].sights || now_ms >= s->recheck_ms;
}

static enum pg_kube_step waiting(struct pg_kube_start *s, const json_t *pod, const json_t *state,
				 uint64_t now_ms, struct pg_err *err)
{
	const char *reason = pg_json_str(state, "waiting.reason");
	const char *text = pg_json_str(state, "waiting.message");
	char message[320];
	int row = find_trouble(reason);
	if (row < 0 && s->told.reason[0]) {
		reason = s->told.reason;
		text = s->told.message;
		row = find_trouble(reason);
	}
	one_line(text, message, sizeof(message));
	s->recheck_ms = 0;
	if (row < 0) {
		s->sort = NONE;
		snprintf(s->waiting_for, sizeof(s->waiting_for),
			 "node '%.60s' to start %s%s%.40s%s", pg_json_str(pod, "spec.nodeName"),
			 s->container, reason[0] ? " (" : "", reason, reason[0] ? ")" : "");
		return PG_KUBE_WAITING;
	}
	snprintf(s->waiting_for, sizeof(s->waiting_for), "the node, which reports %s: %.120s",
		 reason, message);
	if (!is_enough(s, troubles[row].sort, reason, message, now_ms))
		return PG_KUBE_WAITING;
	pg_fail(err, -ENOEXEC, "pod '%.80s': %s: %s.", pg_json_str(pod, "metadata.name"),
		troubles[row].says, s->detail[0] ? s->detail : reason);
	pg_kube_start_hint(s->detail,
			   troubles[row].hint[0] ? troubles[row].hint
						 : "choose another image with --image",
			   err);
	return PG_KUBE_STUCK;
}

enum pg_kube_step pg_kube_start_judge(struct pg_kube_start *s, const json_t *pod, uint64_t now_ms,
				      struct pg_err *err)
{
	const json_t *state = state_of(pod, s->container);
	const json_t *terminated = pg_json_at(state, "terminated");
	s->is_known_to_kubelet = state != NULL;
	if (terminated)
		return ended(pod, terminated, s->container, err);
	enum pg_kube_life life = pg_kube_pod_life(pod);
	if (life == PG_KUBE_DELETING || life == PG_KUBE_FINISHED) {
		pg_fail(err, -ESHUTDOWN, "pod '%s' %s.", pg_json_str(pod, "metadata.name"),
			life == PG_KUBE_DELETING ? "is being deleted" : "has ended");
		pg_hint(err, PG_TARGET, "choose a pod that runs");
		return PG_KUBE_STUCK;
	}
	if (pg_json_at(state, "running"))
		return PG_KUBE_RUNNING;
	return waiting(s, pod, state, now_ms, err);
}
