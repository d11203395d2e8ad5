#include "injector/kube_review.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_json.h"

static const char whoami_path[] = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
static const char whoami_body[] =
	"{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"SelfSubjectReview\"}";
static const char access_path[] = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

static int post(struct pg_kube_api *api, const char *what, const char *path, const char *body,
		json_t **out, struct pg_err *err)
{
	struct pg_kube_status st;
	struct pg_kube_request rq = {
		.act = { what, "create", strrchr(path, '/') + 1, "" },
		.method = "POST",
		.path = path,
		.content_type = "application/json",
		.body = body,
	};
	int rc = pg_kube_call(api, &rq, out, &st, err);
	return st.http == 404 ? -ENOSYS : rc;
}

int pg_kube_whoami(struct pg_kube_api *api, char *out, size_t room, struct pg_err *err)
{
	json_t *review = NULL;
	int rc = post(api, "ask who we are", whoami_path, whoami_body, &review, err);
	out[0] = '\0';
	if (rc == -ENOSYS)
		return 0;
	if (rc == 0)
		pg_json_copy(review, "status.userInfo.username", out, room);
	json_decref(review);
	return rc;
}

char *pg_kube_access_text(const struct pg_kube_access *a)
{
	size_t n = strcspn(a->resource, "/.");
	const char *more = a->resource + n;
	json_t *attributes =
		json_pack("{s:s,s:s,s:s%,s:s,s:s,s:s}", "namespace", a->ns, "verb", a->verb,
			  "resource", a->resource, n, "subresource", *more == '/' ? more + 1 : "",
			  "group", *more == '.' ? more + 1 : "", "name", a->name);
	json_t *review =
		json_pack("{s:s,s:s,s:{s:o}}", "apiVersion", "authorization.k8s.io/v1", "kind",
			  "SelfSubjectAccessReview", "spec", "resourceAttributes", attributes);
	char *text = review ? json_dumps(review, JSON_COMPACT) : NULL;
	json_decref(review);
	return text;
}

int pg_kube_may(struct pg_kube_api *api, const struct pg_kube_access *access, bool *allowed,
		struct pg_err *err)
{
	pg_auto_free char *body = pg_kube_access_text(access);
	json_t *review = NULL;
	int rc = body ? post(api, "ask what we may do", access_path, body, &review, err)
		      : pg_fail(err, -ENOMEM, "ask what we may do");
	if (rc == 0)
		*allowed = pg_json_true(review, "status.allowed");
	json_decref(review);
	return rc;
}
