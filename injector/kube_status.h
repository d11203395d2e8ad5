#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

/* What an API server says when it refuses, and what that means in plain words. Pure. */

enum { PG_KUBE_TEXT_MAX = 4096 };

/* A Status object, or what stands in for one. Strings are clean to print. */
struct pg_kube_status {
	int http;                       /* HTTP status */
	char reason[64];                /* "NotFound", "Forbidden", ...; "" when it gave none */
	char message[PG_KUBE_TEXT_MAX]; /* in the server's words; "" for an empty body */
	char name[254];                 /* of the object in question, "" when not told */
	char cause[512];                /* "field: message" of the first cause, or "" */
	uint64_t retry_after_s;         /* 0: not told */
};

/* Reads the body of an answer other than 2xx, JSON or not. Never fails: what cannot be read is
 * taken as text. */
void pg_kube_status_parse(int http, const char *body, size_t n, struct pg_kube_status *out);

/* What was tried, for the message and the hint. All but `what` may be "". Borrowed. */
struct pg_kube_act {
	const char *what;     /* "find pod 'web-0'": opens the message */
	const char *verb;     /* RBAC's: "get", "list", "watch", "patch", "create" */
	const char *resource; /* "pods", "pods/log", "deployments.apps" */
	const char *ns;
};

/* Turns a refusal into *err: message, class and a hint that can be followed. Returns -ENOENT (404),
 * -EACCES (401, 403), -ESTALE (410), -EAGAIN (409), -EBUSY (429), -EINVAL (other 4xx), -EREMOTEIO
 * (5xx), or -EPROTO (no answer of an API server). */
int pg_kube_refused(const struct pg_kube_status *st, const struct pg_kube_act *act,
		    struct pg_err *err);

/* Hints at the commands with which an administrator allows `verbs` ("get,create") on `resource`
 * ("pods/log", "deployments.apps"); `message` is the server's, which names the user. Returns
 * err->code. */
int pg_kube_hint_role(const char *message, const char *ns, const char *verbs, const char *resource,
		      struct pg_err *err);

/* True when the namespace's PodSecurity profile refused. */
bool pg_kube_is_pod_security(const struct pg_kube_status *st);

/* True when the same request may be answered otherwise a little later: 429, 500, 502, 503, 504, but
 * not because of an admission webhook that is down. */
int pg_kube_is_passing(const struct pg_kube_status *st);
