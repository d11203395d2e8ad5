#include "injector/kube_status.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "injector/kube_json.h"

/* Copies at most room - 1 bytes of the `n` at `text`, up to the first NUL, clean to print. */
static void copy_text(const char *text, size_t n, char *out, size_t room)
{
	size_t len = strnlen(text, n < room ? n : room - 1);
	memcpy(out, text, len);
	out[len] = '\0';
	while (len > 0 && strchr(" \t\r\n", out[len - 1]))
		out[--len] = '\0';
	for (char *s = out; *s; s++) /* diffs and pages span lines: one line is what we print */
		if (*s == '\n' || *s == '\r')
			*s = ' ';
	pg_sanitize(out);
}

static void copy_member(const json_t *o, const char *path, char *out, size_t room)
{
	const char *s = pg_json_str(o, path);
	copy_text(s, strlen(s), out, room);
}

static void copy_cause(const json_t *status, struct pg_kube_status *out)
{
	const json_t *cause = json_array_get(pg_json_at(status, "details.causes"), 0);
	char line[sizeof(out->cause)];
	if (!cause)
		return;
	snprintf(line, sizeof(line), "%s: %s", pg_json_str(cause, "field"),
		 pg_json_str(cause, "message"));
	copy_text(line, sizeof(line), out->cause, sizeof(out->cause));
}

void pg_kube_status_parse(int http, const char *body, size_t n, struct pg_kube_status *out)
{
	*out = (struct pg_kube_status){ .http = http };
	json_t *status = pg_json_parse(body, n, NULL);
	if (!json_is_object(status)) {
		json_decref(status);
		if (n > 0 && body[0] != '<') /* a proxy's page says nothing in words */
			copy_text(body, n, out->message, sizeof(out->message));
		return;
	}
	copy_member(status, "reason", out->reason, sizeof(out->reason));
	/* The trailing space of "forbidden: " goes with the trimming; is_hidden_verb() knows. */
	copy_member(status, "message", out->message, sizeof(out->message));
	copy_member(status, "details.name", out->name, sizeof(out->name));
	copy_cause(status, out);
	int64_t after = pg_json_int(status, "details.retryAfterSeconds", 0);
	out->retry_after_s = after > 0 ? (uint64_t)after : 0;
	int64_t code = pg_json_int(status, "code", http);
	if (http == 200 && code >= 400 && code < 600) /* an ERROR event of a watch */
		out->http = (int)code;
	json_decref(status);
}

static bool says(const struct pg_kube_status *st, const char *text)
{
	return strstr(st->message, text) != NULL;
}

/* A webhook that does not answer has had its time already. */
static bool is_webhook_down(const struct pg_kube_status *st)
{
	return says(st, "failed calling webhook");
}

int pg_kube_is_passing(const struct pg_kube_status *st)
{
	return st->http == 429 || (st->http == 500 && !is_webhook_down(st)) ||
	       (st->http >= 502 && st->http <= 504);
}

bool pg_kube_is_pod_security(const struct pg_kube_status *st)
{
	return st->http == 403 && says(st, "violates PodSecurity \"");
}

static bool is_hidden_verb(const struct pg_kube_status *st)
{
	static const char end[] = "forbidden:";
	size_t n = strlen(st->message);
	return n >= sizeof(end) - 1 && strcmp(st->message + n - (sizeof(end) - 1), end) == 0;
}

/* The user that an RBAC message names; "" when it names none, or one that is nothing to put on a
 * shell's command line unquoted. */
static void read_user(const char *message, char *out, size_t room)
{
	static const char open[] = "User \"";
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789:@._/-";
	const char *at = strstr(message, open);
	out[0] = '\0';
	if (!at)
		return;
	at += strlen(open);
	size_t n = strspn(at, plain);
	if (n == 0 || n >= room || at[n] != '"')
		return;
	memcpy(out, at, n);
	out[n] = '\0';
}

/* "dev" of "system:serviceaccount:shop:dev": part of an object's name. */
static const char *last_part(const char *user)
{
	const char *part = user;
	for (const char *s = user; *s; s++)
		if ((*s == ':' || *s == '/') && s[1])
			part = s + 1;
	return part;
}

/* What is about all namespaces needs a right on the whole cluster. */
static int hint_cluster_role(const char *role, const char *verbs, const char *resource,
			     const char *user, struct pg_err *err)
{
	if (!user[0])
		return pg_hint(err, PG_CLUSTER,
			       "as administrator: kubectl create clusterrole %s --verb=%s "
			       "--resource=%s, and bind it to you",
			       role, verbs, resource);
	return pg_hint(err, PG_CLUSTER,
		       "as administrator: kubectl create clusterrole %s --verb=%s --resource=%s; "
		       "kubectl create clusterrolebinding %s-%.40s --clusterrole=%s --user=%s",
		       role, verbs, resource, role, last_part(user), role, user);
}

int pg_kube_hint_role(const char *message, const char *ns, const char *verbs, const char *resource,
		      struct pg_err *err)
{
	/* A role of its own for each right, bound once for each user: following several hints, or
	 * one for several users, does not collide. */
	char user[128], role[96];
	const char *part = strchr(resource, '/');
	part = part ? part + 1 : resource;
	snprintf(role, sizeof(role), "podgraft-%s-%.*s", verbs, (int)strcspn(part, "."), part);
	for (char *s = role; *s; s++)
		*s = *s == ',' ? '-' : *s;
	read_user(message, user, sizeof(user));
	if (!ns[0])
		return hint_cluster_role(role, verbs, resource, user, err);
	if (!user[0])
		return pg_hint(err, PG_CLUSTER,
			       "as administrator: kubectl -n %s create role %s --verb=%s "
			       "--resource=%s, and bind it to you",
			       ns, role, verbs, resource);
	return pg_hint(err, PG_CLUSTER,
		       "as administrator: kubectl -n %s create role %s --verb=%s --resource=%s; "
		       "kubectl -n %s create rolebinding %s-%.40s --role=%s --user=%s",
		       ns, role, verbs, resource, ns, role, last_part(user), role, user);
}

/* The right to act in another's name is one on the whole cluster. */
static int hint_impersonation(const char *message, struct pg_err *err)
{
	char user[128];
	read_user(message, user, sizeof(user));
	if (!user[0])
		return pg_hint(err, PG_CLUSTER,
			       "leave --as away, or ask an administrator for the right to "
			       "impersonate");
	return pg_hint(err, PG_CLUSTER,
		       "leave --as away, or as administrator: kubectl create clusterrole "
		       "podgraft-impersonate --verb=impersonate --resource=users,groups; kubectl "
		       "create clusterrolebinding podgraft-impersonate-%.40s "
		       "--clusterrole=podgraft-impersonate --user=%s",
		       last_part(user), user);
}

static int refused_pod_security(const struct pg_kube_status *st, const struct pg_kube_act *act,
				struct pg_err *err)
{
	static const char open[] = "violates PodSecurity \"";
	char profile[32];
	const char *at = strstr(st->message, open) + sizeof(open) - 1;
	size_t n = strcspn(at, ":\"");
	snprintf(profile, sizeof(profile), "%.*s", (int)n, at);
	const char *detail = strstr(at, "\": ");
	pg_fail(err, -EACCES,
		"%s: namespace '%s' enforces the PodSecurity profile '%s', which "
		"forbids: %.340s.",
		act->what, act->ns, profile, detail ? detail + 3 : at);
	return pg_hint(err, PG_CLUSTER,
		       "an administrator can allow it: kubectl label --overwrite ns %s "
		       "pod-security.kubernetes.io/enforce=privileged; only --profile forward "
		       "needs nothing",
		       act->ns);
}

/* RBAC says no to somebody, whom its message names. */
static int refused_user(const struct pg_kube_status *st, const struct pg_kube_act *act,
			struct pg_err *err)
{
	if (says(st, "User \"system:anonymous\"")) { /* no 401: the server lets strangers ask */
		pg_fail(err, -EACCES, "%s: the server got no credentials from us that it knows.",
			act->what);
		return pg_hint(err, PG_CLUSTER,
			       "log in to the cluster, or name another user of the kubeconfig with "
			       "--user, then check with: kubectl auth whoami");
	}
	pg_fail(err, -EACCES, "%s: %.400s.", act->what, st->message);
	if (says(st, "\" cannot impersonate"))
		return hint_impersonation(st->message, err);
	return pg_kube_hint_role(st->message, act->ns, act->verb, act->resource, err);
}

static int refused_403(const struct pg_kube_status *st, const struct pg_kube_act *act,
		       struct pg_err *err)
{
	if (pg_kube_is_pod_security(st))
		return refused_pod_security(st, act, err);
	if (is_hidden_verb(st)) { /* 1.35 and later ask for create on upgrades, and hide it */
		pg_fail(err, -EACCES, "%s: needs the verb create on %s in namespace '%s'.",
			act->what, act->resource, act->ns);
		return pg_kube_hint_role(st->message, act->ns, "create", act->resource, err);
	}
	if (says(st, "User \"") && says(st, "\" cannot "))
		return refused_user(st, act, err);
	if (st->message[0])
		pg_fail(err, -EACCES, "%s: %.400s.", act->what, st->message);
	else
		pg_fail(err, -EACCES, "%s: refused with 403 and no reason.", act->what);
	if (says(st, "security context constraint"))
		return pg_hint(err, PG_CLUSTER,
			       "an administrator can allow it with a security "
			       "context constraint that permits these capabilities");
	if (says(st, "exceeded quota"))
		return pg_hint(err, PG_CLUSTER,
			       "free some of the quota: kubectl -n %s describe "
			       "resourcequota",
			       act->ns);
	if (says(st, "admission webhook"))
		return pg_hint(err, PG_CLUSTER,
			       "a policy of this cluster denied it: ask those "
			       "who run the webhook named here");
	return pg_hint(err, PG_CLUSTER,
		       st->message[0] ? "a policy of this cluster denied it: ask its administrators"
				      : "a proxy before the API server, or the node, refused: try "
					"another --transport");
}

static int refused_404(const struct pg_kube_status *st, const struct pg_kube_act *act,
		       struct pg_err *err)
{
	if (strcmp(act->resource, "pods/ephemeralcontainers") == 0 && !st->name[0]) {
		pg_fail(err, -EOPNOTSUPP, "%s: this cluster has no ephemeral containers.",
			act->what);
		return pg_hint(err, PG_CLUSTER, "Kubernetes 1.25 or newer is needed");
	}
	if (!st->name[0] || !act->resource[0]) {
		pg_fail(err, -ENOENT, "%s: %.400s.", act->what,
			st->message[0] ? st->message : "not found");
		return pg_hint(err, PG_CLUSTER, "is this an API server? try kubectl version");
	}
	size_t plain = strcspn(act->resource, "/");
	pg_fail(err, -ENOENT, "%s: not found in namespace '%s'.", act->what, act->ns);
	return pg_hint(err, PG_TARGET,
		       "see what is there: kubectl -n %s get %.*s; another "
		       "namespace is chosen with -n",
		       act->ns, (int)plain, act->resource);
}

static int refused_busy(const struct pg_kube_status *st, const struct pg_kube_act *act,
			struct pg_err *err)
{
	int code = st->http == 429 ? -EBUSY : -EREMOTEIO;
	const char *text = st->message[0] ? st->message : "no reason given";
	pg_fail(err, code, "%s: the server answers %d: %.400s.", act->what, st->http, text);
	if (is_webhook_down(st))
		return pg_hint(err, PG_CLUSTER,
			       "an admission webhook of this cluster is down: "
			       "ask its administrators");
	if (says(st, "dial tcp") || says(st, "dialing backend"))
		return pg_hint(err, PG_CLUSTER,
			       "the API server does not reach the pod's node: "
			       "kubectl get nodes");
	return pg_hint(err, PG_CLUSTER,
		       "try again; kubectl get --raw /readyz says how the "
		       "server is");
}

int pg_kube_refused(const struct pg_kube_status *st, const struct pg_kube_act *act,
		    struct pg_err *err)
{
	switch (st->http) {
	case 401:
		pg_fail(err, -EACCES, "%s: the server does not accept our credentials (401).",
			act->what);
		return pg_hint(err, PG_CLUSTER,
			       "log in to the cluster again, then check with: "
			       "kubectl auth whoami");
	case 403:
		return refused_403(st, act, err);
	case 404:
		return refused_404(st, act, err);
	case 409:
		pg_fail(err, -EAGAIN, "%s: %.400s.", act->what, st->message);
		return pg_hint(err, PG_CLUSTER, "somebody changed it meanwhile: try again");
	case 410:
		pg_fail(err, -ESTALE, "%s: %.400s.", act->what, st->message);
		return pg_hint(err, PG_CLUSTER, "try again");
	default:
		break;
	}
	if (st->http == 429 || st->http >= 500)
		return refused_busy(st, act, err);
	if (st->http < 400) {
		pg_fail(err, -EPROTO, "%s: the server answers %d, no Kubernetes API server.",
			act->what, st->http);
		return pg_hint(err, PG_CLUSTER, "check the server's address in the kubeconfig");
	}
	pg_fail(err, -EINVAL, "%s: the server answers %d: %.400s.", act->what, st->http,
		st->message[0] ? st->message : st->cause);
	return pg_hint(err, PG_CLUSTER, "%s", "");
}
