#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "injector/kubeconfig_parts.h"
#include "proto/base/mem.h"

#define EXEC_GROUP "client.authentication.k8s.io"

void pg_kube_exec_free(struct pg_kube_exec *x)
{
	if (!x)
		return;
	free(x->api_version);
	free(x->command);
	free(x->install_hint);
	free(x->interactive_mode);
	free(x->cluster_config_json);
	pg_kube_strings_free(x->args);
	pg_kube_strings_free(x->env);
	free(x);
}

/* "NAME=value" of one element of env. Owned; NULL: not of that form, or out of memory. */
static char *env_assignment(const json_t *item)
{
	const char *name = json_string_value(json_object_get(item, "name"));
	const char *value = json_string_value(json_object_get(item, "value"));
	if (!name || !*name || strchr(name, '='))
		return NULL;
	return pg_asprintf("%s=%s", name, value ? value : "");
}

static int fill_env(const struct pg_kube_entry *e, struct pg_kube_exec *x, struct pg_err *err)
{
	json_t *list = NULL;
	int rc = pg_kube_member(e, "env", true, &list, err);
	if (rc < 0 || !list)
		return rc;
	x->env = pg_calloc(json_array_size(list) + 1, sizeof(*x->env));
	if (!x->env)
		return pg_fail(err, -ENOMEM, "read the kubeconfig");
	for (size_t i = 0; i < json_array_size(list); i++) {
		x->env[i] = env_assignment(json_array_get(list, i));
		if (!x->env[i])
			return pg_kube_bad(
				e, err, "exec: env must be a list of entries with name and value");
	}
	return 0;
}

/* A command with a slash is relative to the file; one without is looked up in PATH. */
static int fill_command(const struct pg_kube_entry *e, struct pg_kube_exec *x, struct pg_err *err)
{
	int rc = pg_kube_text(e, "command", &x->command, err);
	if (rc == 0 && !x->command)
		return pg_kube_bad(e, err, "exec: command is missing");
	return rc < 0 || !strchr(x->command, '/') ? rc
						  : pg_kube_path(e, "command", &x->command, err);
}

static int check_version(const struct pg_kube_entry *e, const struct pg_kube_exec *x,
			 struct pg_err *err)
{
	if (!x->api_version)
		return pg_kube_bad(e, err, "exec: apiVersion is missing");
	if (strcmp(x->api_version, EXEC_GROUP "/v1") != 0 &&
	    strcmp(x->api_version, EXEC_GROUP "/v1beta1") != 0)
		return pg_kube_bad(
			e, err, "exec: apiVersion '%s' is neither " EXEC_GROUP "/v1 nor /v1beta1",
			x->api_version);
	return 0;
}

/* v1beta1 has a default for the mode, v1 wants it said. */
static int fill_mode(const struct pg_kube_entry *e, struct pg_kube_exec *x, struct pg_err *err)
{
	static const char *const modes[] = { "Never", "IfAvailable", "Always" };
	int rc = pg_kube_text(e, "interactiveMode", &x->interactive_mode, err);
	if (rc < 0)
		return rc;
	if (!x->interactive_mode && strcmp(x->api_version, EXEC_GROUP "/v1") == 0)
		return pg_kube_bad(e, err,
				   "exec: interactiveMode is missing "
				   "(Never, IfAvailable or Always)");
	if (!x->interactive_mode)
		return pg_kube_set(&x->interactive_mode, "IfAvailable", err);
	for (size_t i = 0; i < PG_LEN(modes); i++)
		if (strcmp(x->interactive_mode, modes[i]) == 0)
			return 0;
	return pg_kube_bad(e, err,
			   "exec: interactiveMode '%s' is none of Never, IfAvailable, Always",
			   x->interactive_mode);
}

/* The extension of the cluster that is meant for plugins, as compact JSON. */
static int fill_cluster_config(const struct pg_kube_entry *cluster, struct pg_kube_exec *x,
			       struct pg_err *err)
{
	json_t *list = NULL;
	size_t i;
	json_t *item;
	int rc = pg_kube_member(cluster, "extensions", true, &list, err);
	if (rc < 0)
		return rc;
	json_array_foreach(list, i, item)
	{
		const char *name = json_string_value(json_object_get(item, "name"));
		const json_t *extension = json_object_get(item, "extension");
		if (!name || !extension || strcmp(name, EXEC_GROUP "/exec") != 0)
			continue;
		x->cluster_config_json = json_dumps(extension, JSON_COMPACT | JSON_ENCODE_ANY);
		if (!x->cluster_config_json)
			return pg_fail(err, -ENOMEM, "read the kubeconfig");
		return 0;
	}
	return 0;
}

static int fill_exec(const struct pg_kube_entry *e, const struct pg_kube_entry *cluster,
		     struct pg_kube_exec *x, struct pg_err *err)
{
	int rc = pg_kube_text(e, "apiVersion", &x->api_version, err);
	if (rc == 0)
		rc = fill_command(e, x, err);
	if (rc == 0)
		rc = check_version(e, x, err);
	if (rc == 0)
		rc = pg_kube_text(e, "installHint", &x->install_hint, err);
	if (rc == 0)
		rc = fill_mode(e, x, err);
	if (rc == 0)
		rc = pg_kube_list(e, "args", &x->args, err);
	if (rc == 0)
		rc = fill_env(e, x, err);
	if (rc == 0)
		rc = pg_kube_bool(e, "provideClusterInfo", &x->provide_cluster_info, err);
	return rc < 0 || !x->provide_cluster_info ? rc : fill_cluster_config(cluster, x, err);
}

int pg_kubeconfig_exec(const struct pg_kube_entry *e, const struct pg_kube_entry *cluster,
		       struct pg_kube_exec **out, struct pg_err *err)
{
	struct pg_kube_entry inside = *e;
	struct pg_kube_exec *x = pg_calloc(1, sizeof(*x));
	if (!x)
		return pg_fail(err, -ENOMEM, "read the kubeconfig");
	inside.map = json_object_get(e->map, "exec");
	int rc = fill_exec(&inside, cluster, x, err);
	if (rc < 0)
		pg_kube_exec_free(x);
	else
		*out = x;
	return rc;
}

/* The time (seconds since 1970) in the claim "exp" of a JWT (RFC 7519), not verified; 0 without. */
static long long jwt_expiry(const char *jwt)
{
	unsigned char claims[8192];
	size_t n = 0;
	const char *payload = strchr(jwt, '.');
	if (!payload ||
	    sodium_base642bin(claims, sizeof(claims), payload + 1, strcspn(payload + 1, "."), NULL,
			      &n, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
		return 0;
	json_t *root = json_loadb((const char *)claims, n, 0, NULL);
	long long exp = json_integer_value(json_object_get(root, "exp"));
	json_decref(root);
	return exp;
}

int pg_kubeconfig_auth_provider(const struct pg_kube_entry *e, long long now_s,
				struct pg_kubeconfig *c, struct pg_err *err)
{
	const json_t *provider = json_object_get(e->map, "auth-provider");
	const char *name = json_string_value(json_object_get(provider, "name"));
	const char *token =
		json_string_value(json_object_get(json_object_get(provider, "config"), "id-token"));
	if (!name || strcmp(name, "oidc") != 0) {
		pg_kube_bad(e, err, "auth-provider '%s' is no longer supported", name ? name : "");
		return pg_hint(err, PG_CLUSTER,
			       "replace it by an exec credential plugin, as for kubectl");
	}
	if (!token || jwt_expiry(token) <= now_s) {
		pg_kube_bad(e, err, "auth-provider oidc holds no valid id-token");
		return pg_hint(err, PG_CLUSTER,
			       "run any kubectl command to renew it, or use an exec plugin");
	}
	return pg_kube_set(&c->token, token, err);
}
