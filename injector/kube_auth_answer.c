#include "injector/kube_auth_answer.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "injector/rfc3339.h"
#include "proto/base/mem.h"
#include "proto/wire/auth.h"

static int bad(struct pg_err *err, const char *what)
{
	return pg_fail(err, -EINVAL, "its answer %s", what);
}

/* A text member of the status; absent and "" are both fine. */
static int take_text(const json_t *status, const char *key, char **out, struct pg_err *err)
{
	const json_t *value = json_object_get(status, key);
	if (!value || json_is_null(value))
		return 0;
	const char *text = json_string_value(value);
	if (!text || strlen(text) != json_string_length(value))
		return pg_fail(err, -EINVAL, "its answer's %s is no text", key);
	if (!*text)
		return 0;
	*out = pg_strdup(text);
	return *out ? 0 : pg_fail(err, -ENOMEM, "read its answer");
}

static int take_expiry(const json_t *status, int64_t *out, struct pg_err *err)
{
	const json_t *value = json_object_get(status, "expirationTimestamp");
	*out = INT64_MAX;
	if (!value || json_is_null(value))
		return 0;
	const char *text = json_string_value(value);
	if (!text || pg_rfc3339_parse(text, out) < 0)
		return bad(err, "has an expirationTimestamp that is no time");
	return 0;
}

static int check(const struct pg_exec_answer *a, struct pg_err *err)
{
	for (const char *p = a->token; p && *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return bad(err, "holds a token with a space or control character");
	if (!a->cert_pem != !a->key_pem)
		return bad(err, "holds a certificate without its key, or the reverse");
	if (a->cert_pem &&
	    (!strstr(a->cert_pem, "-----BEGIN ") || !strstr(a->key_pem, "-----BEGIN ")))
		return bad(err, "holds a certificate or key that is no PEM text");
	if (!a->token && !a->cert_pem)
		return bad(err, "holds neither a token nor a certificate");
	return 0;
}

static int read_status(const json_t *status, struct pg_exec_answer *a, struct pg_err *err)
{
	if (!json_is_object(status))
		return bad(err, "has no status");
	int rc = take_text(status, "token", &a->token, err);
	if (rc == 0)
		rc = take_text(status, "clientCertificateData", &a->cert_pem, err);
	if (rc == 0)
		rc = take_text(status, "clientKeyData", &a->key_pem, err);
	if (rc == 0)
		rc = take_expiry(status, &a->expires_s, err);
	return rc < 0 ? rc : check(a, err);
}

static bool equals(const json_t *value, const char *want)
{
	return json_is_string(value) && strcmp(json_string_value(value), want) == 0;
}

int pg_exec_answer_parse(const char *text, size_t n, const char *api_version,
			 struct pg_exec_answer *out, struct pg_err *err)
{
	struct pg_exec_answer a = { .token = NULL };
	json_t *root = json_loadb(text, n, 0, NULL);
	int rc;
	if (!root)
		rc = bad(err, n ? "is no JSON" : "is empty");
	else if (!equals(json_object_get(root, "kind"), "ExecCredential"))
		rc = bad(err, "is not of kind ExecCredential");
	else if (!equals(json_object_get(root, "apiVersion"), api_version))
		rc = pg_fail(err, -EINVAL, "its answer is not of apiVersion %s", api_version);
	else
		rc = read_status(json_object_get(root, "status"), &a, err);
	json_decref(root);
	if (rc < 0)
		pg_exec_answer_fini(&a);
	else
		*out = a;
	return rc;
}

/* Frees what was a secret, after wiping it. */
static void free_secret(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void pg_exec_answer_fini(struct pg_exec_answer *a)
{
	free_secret(a->token);
	free(a->cert_pem);
	free_secret(a->key_pem);
	*a = (struct pg_exec_answer){ .token = NULL };
}

static json_t *base64_of(const char *text)
{
	size_t n = strlen(text);
	pg_auto_free char *out = pg_calloc(4 * ((n + 2) / 3) + 1, 1);
	if (!out)
		return NULL;
	pg_b64_encode((const uint8_t *)text, n, out);
	return json_string(out);
}

/* spec.cluster: members that are not set are left away, but for config. */
static json_t *cluster_info(const struct pg_kubeconfig *c)
{
	json_t *o = json_object();
	const char *extension = c->exec->cluster_config_json;
	int rc = json_object_set_new(o, "server", json_string(c->server));
	if (c->tls_server_name)
		rc |= json_object_set_new(o, "tls-server-name", json_string(c->tls_server_name));
	if (c->insecure)
		rc |= json_object_set_new(o, "insecure-skip-tls-verify", json_true());
	if (c->ca_pem)
		rc |= json_object_set_new(o, "certificate-authority-data", base64_of(c->ca_pem));
	if (c->proxy_url)
		rc |= json_object_set_new(o, "proxy-url", json_string(c->proxy_url));
	if (c->disable_compression)
		rc |= json_object_set_new(o, "disable-compression", json_true());
	rc |= json_object_set_new(o, "config",
				  extension ? json_loads(extension, JSON_DECODE_ANY, NULL)
					    : json_null());
	if (rc == 0)
		return o;
	json_decref(o);
	return NULL;
}

int pg_exec_info(const struct pg_kubeconfig *config, bool interactive, struct pg_buf *out)
{
	json_t *spec = json_object();
	int rc = 0;
	if (config->exec->provide_cluster_info)
		rc |= json_object_set_new(spec, "cluster", cluster_info(config));
	rc |= json_object_set_new(spec, "interactive", json_boolean(interactive));
	json_t *root = json_pack("{s:s, s:s, s:o}", "kind", "ExecCredential", "apiVersion",
				 config->exec->api_version, "spec", spec);
	char *text = rc == 0 && root ? json_dumps(root, JSON_COMPACT) : NULL;
	rc = text ? pg_buf_addf(out, "%s\n", text) : -ENOMEM;
	free(text);
	json_decref(root);
	return rc;
}
