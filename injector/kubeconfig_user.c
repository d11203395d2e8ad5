#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "injector/kubeconfig_parts.h"
#include "proto/base/mem.h"

static bool given(const char *text)
{
	return text && *text;
}

/* The certificate or key: a flag's file, else what the entry says. */
static int fill_pem(const struct pg_kube_entry *e, const char *key, const char *flag_path,
		    char **out, struct pg_err *err)
{
	if (!given(flag_path))
		return pg_kube_pem(e, key, out, err);
	int rc = pg_kube_pem_file(flag_path, out, err);
	if (rc < 0) {
		pg_wrap(err, "--%s", key);
		pg_hint(err, PG_USER, "name a PEM file with --%s", key);
	}
	return rc;
}

static int fill_certificate(const struct pg_kube_entry *e, const struct pg_kube_flags *flags,
			    struct pg_kubeconfig *c, struct pg_err *err)
{
	int rc = fill_pem(e, "client-certificate", flags->client_certificate, &c->cert_pem, err);
	if (rc == 0)
		rc = fill_pem(e, "client-key", flags->client_key, &c->key_pem, err);
	if (rc < 0 || !c->cert_pem == !c->key_pem)
		return rc;
	if (given(flags->client_certificate) || given(flags->client_key)) {
		pg_fail(err, -EINVAL, "a client certificate and its key belong together");
		return pg_hint(err, PG_USER, "give --client-certificate and --client-key");
	}
	if (c->cert_pem)
		return pg_kube_bad(e, err, "client-certificate is given without client-key");
	free(pg_take_ptr(&c->key_pem)); /* a key alone is ignored, as kubectl does */
	return 0;
}

/* A token travels in a header: no line break may smuggle in another one. */
static int check_token(const struct pg_kube_entry *e, const char *token, bool by_flag,
		       struct pg_err *err)
{
	for (const char *p = token; p && *p; p++) {
		if (*p > ' ' && *p < 0x7f)
			continue;
		if (!by_flag)
			return pg_kube_bad(e, err, "token holds a space or control character");
		pg_fail(err, -EINVAL, "--token holds a space or control character");
		return pg_hint(err, PG_USER, "give the token alone, without a line break");
	}
	return 0;
}

static int fill_token(const struct pg_kube_entry *e, const struct pg_kube_flags *flags,
		      struct pg_kubeconfig *c, struct pg_err *err)
{
	if (given(flags->token)) {
		free(pg_take_ptr(&c->token_file)); /* of the pod's service account */
		int rc = check_token(e, flags->token, true, err);
		return rc < 0 ? rc : pg_kube_set(&c->token, flags->token, err);
	}
	int rc = pg_kube_text(e, "token", &c->token, err);
	if (rc == 0)
		rc = check_token(e, c->token, false, err);
	/* Without an entry the token file may be the service account's, set already. */
	if (rc == 0 && e->file)
		rc = pg_kube_path(e, "tokenFile", &c->token_file, err);
	if (rc < 0 || !c->token_file || access(c->token_file, R_OK) == 0)
		return rc;
	if (!c->token && e->file)
		return pg_kube_bad(e, err, "cannot read tokenFile '%s': %s", c->token_file,
				   strerror(errno));
	return 0;
}

static int fill_basic(const struct pg_kube_entry *e, struct pg_kubeconfig *c, struct pg_err *err)
{
	int rc = pg_kube_text(e, "username", &c->username, err);
	if (rc == 0)
		rc = pg_kube_text(e, "password", &c->password, err);
	if (rc == 0 && (c->token || c->token_file) && (c->username || c->password))
		return pg_kube_bad(e, err,
				   "a token and username/password are both given; keep one");
	return rc;
}

/* as-user-extra: a mapping of lists, flattened to "key=value". */
static int fill_extra(const struct pg_kube_entry *e, struct pg_kubeconfig *c, struct pg_err *err)
{
	json_t *extra = NULL;
	int rc = pg_kube_member(e, "as-user-extra", false, &extra, err);
	const char *key;
	json_t *values;
	size_t total = 0;
	if (rc < 0 || json_object_size(extra) == 0)
		return rc;
	json_object_foreach(extra, key, values)
	{
		total += json_array_size(values);
	}
	c->as_extra = pg_calloc(total + 1, sizeof(*c->as_extra));
	if (!c->as_extra)
		return pg_fail(err, -ENOMEM, "read the kubeconfig");
	size_t n = 0;
	json_object_foreach(extra, key, values)
	{
		size_t i;
		json_t *value;
		json_array_foreach(values, i, value)
		{
			if (!json_is_string(value) || strchr(key, '='))
				return pg_kube_bad(e, err,
						   "as-user-extra must map keys to lists of texts");
			c->as_extra[n] = pg_asprintf("%s=%s", key, json_string_value(value));
			if (!c->as_extra[n++])
				return pg_fail(err, -ENOMEM, "read the kubeconfig");
		}
	}
	return 0;
}

static int copy_groups(const char *const *from, char ***to, struct pg_err *err)
{
	size_t n = 0;
	while (from[n])
		n++;
	char **list = pg_calloc(n + 1, sizeof(*list));
	for (size_t i = 0; list && i < n; i++) {
		list[i] = pg_strdup(from[i]);
		if (!list[i]) {
			pg_kube_strings_free(list);
			list = NULL;
		}
	}
	if (!list)
		return pg_fail(err, -ENOMEM, "read the kubeconfig");
	pg_kube_strings_free(*to);
	*to = list;
	return 0;
}

static int fill_impersonation(const struct pg_kube_entry *e, const struct pg_kube_flags *flags,
			      struct pg_kubeconfig *c, struct pg_err *err)
{
	int rc = pg_kube_text(e, "as", &c->as, err);
	if (rc == 0)
		rc = pg_kube_text(e, "as-uid", &c->as_uid, err);
	if (rc == 0)
		rc = pg_kube_list(e, "as-groups", &c->as_groups, err);
	if (rc == 0)
		rc = fill_extra(e, c, err);
	if (rc == 0)
		rc = pg_kube_set(&c->as, flags->as, err);
	if (rc == 0)
		rc = pg_kube_set(&c->as_uid, flags->as_uid, err);
	if (rc == 0 && flags->as_groups && flags->as_groups[0])
		rc = copy_groups(flags->as_groups, &c->as_groups, err);
	if (rc < 0 || c->as || !(c->as_uid || c->as_groups || c->as_extra))
		return rc;
	pg_fail(err, -EINVAL, "impersonating a uid or a group needs a user");
	return pg_hint(err, PG_USER, "give --as USER too");
}

/* A plugin or provider only matters when nothing static is configured. */
static int fill_plugin(const struct pg_kube_entry *e, const struct pg_kube_entry *cluster,
		       struct pg_kubeconfig *c, struct pg_err *err)
{
	json_t *exec = NULL, *provider = NULL;
	int rc = pg_kube_member(e, "exec", false, &exec, err);
	if (rc == 0)
		rc = pg_kube_member(e, "auth-provider", false, &provider, err);
	if (rc < 0)
		return rc;
	if (exec && provider)
		return pg_kube_bad(e, err, "exec and auth-provider are both given; keep one");
	bool is_static = c->token || c->token_file || c->username || c->password || c->cert_pem;
	if (provider && !is_static)
		return pg_kubeconfig_auth_provider(e, (long long)time(NULL), c, err);
	if (!exec)
		return 0;
	rc = pg_kubeconfig_exec(e, cluster, &c->exec, err);
	if (rc == 0 && is_static) {
		pg_kube_exec_free(c->exec);
		c->exec = NULL;
	}
	return rc;
}

int pg_kubeconfig_user(const struct pg_kube_entry *e, const struct pg_kube_entry *cluster,
		       const struct pg_kube_flags *flags, struct pg_kubeconfig *c,
		       struct pg_err *err)
{
	int rc = fill_certificate(e, flags, c, err);
	if (rc == 0)
		rc = fill_token(e, flags, c, err);
	if (rc == 0)
		rc = fill_basic(e, c, err);
	if (rc == 0)
		rc = fill_plugin(e, cluster, c, err);
	return rc < 0 ? rc : fill_impersonation(e, flags, c, err);
}
