#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "injector/kubeconfig_parts.h"
#include "injector/read_file.h"
#include "proto/base/mem.h"

static bool given(const char *text)
{
	return text && *text;
}

static bool begins(const char *text, const char *with)
{
	return strncasecmp(text, with, strlen(with)) == 0;
}

/* A file that a flag names. */
static int flag_pem(const char *flag, const char *path, char **out, struct pg_err *err)
{
	int rc = pg_kube_pem_file(path, out, err);
	if (rc < 0) {
		pg_wrap(err, "--%s", flag);
		pg_hint(err, PG_USER, "name a PEM file with --%s", flag);
	}
	return rc;
}

/* A flag about the CA replaces CA file, CA data and insecure of the file, all three. */
static int fill_trust(const struct pg_kube_entry *e, const struct pg_kube_flags *flags,
		      struct pg_kubeconfig *c, struct pg_err *err)
{
	if (flags->insecure_skip_tls_verify || given(flags->certificate_authority)) {
		c->insecure = flags->insecure_skip_tls_verify;
		int rc = given(flags->certificate_authority)
				 ? flag_pem("certificate-authority", flags->certificate_authority,
					    &c->ca_pem, err)
				 : 0;
		if (rc < 0 || !c->insecure || !c->ca_pem)
			return rc;
		pg_fail(err, -EINVAL,
			"--certificate-authority and --insecure-skip-tls-verify exclude each "
			"other");
		return pg_hint(err, PG_USER, "give one of them");
	}
	int rc = pg_kube_bool(e, "insecure-skip-tls-verify", &c->insecure, err);
	if (rc == 0)
		rc = pg_kube_pem(e, "certificate-authority", &c->ca_pem, err);
	if (rc == 0 && c->insecure && c->ca_pem)
		return pg_kube_bad(e, err,
				   "a certificate-authority and insecure-skip-tls-verify are both "
				   "given; keep one");
	return rc;
}

static int check_proxy(const struct pg_kube_entry *e, const char *url, struct pg_err *err)
{
	if (!url || begins(url, "http://") || begins(url, "https://") || begins(url, "socks5://"))
		return 0;
	return pg_kube_bad(e, err, "proxy-url '%s' must begin with http://, https:// or socks5://",
			   url);
}

int pg_kubeconfig_cluster(const struct pg_kube_entry *e, const struct pg_kube_flags *flags,
			  struct pg_kubeconfig *c, struct pg_err *err)
{
	int rc = pg_kube_text(e, "server", &c->server, err);
	if (rc == 0)
		rc = pg_kube_text(e, "tls-server-name", &c->tls_server_name, err);
	if (rc == 0)
		rc = pg_kube_text(e, "proxy-url", &c->proxy_url, err);
	if (rc == 0)
		rc = check_proxy(e, c->proxy_url, err);
	if (rc == 0)
		rc = pg_kube_bool(e, "disable-compression", &c->disable_compression, err);
	if (rc == 0)
		rc = fill_trust(e, flags, c, err);
	if (rc == 0 && given(flags->server)) {
		free(c->tls_server_name); /* it belonged to the file's server */
		c->tls_server_name = NULL;
		rc = pg_kube_set(&c->server, flags->server, err);
	}
	return rc < 0 ? rc : pg_kube_set(&c->tls_server_name, flags->tls_server_name, err);
}

static int bad_server(const char *server, struct pg_err *err)
{
	pg_fail(err, -EINVAL, "server '%s' is no http or https URL", server);
	return pg_hint(err, PG_CLUSTER,
		       "write it as https://HOST:PORT, in the kubeconfig or with --server");
}

int pg_kubeconfig_server(struct pg_kubeconfig *c, struct pg_err *err)
{
	bool tls = c->ca_pem || c->cert_pem || c->insecure;
	if (!strstr(c->server, "://")) {
		char *full = pg_asprintf("%s://%s", tls ? "https" : "http", c->server);
		if (!full)
			return pg_fail(err, -ENOMEM, "read the kubeconfig");
		free(c->server);
		c->server = full;
	}
	size_t scheme = begins(c->server, "https://") ? 8 : begins(c->server, "http://") ? 7 : 0;
	size_t n = strlen(c->server);
	if (scheme == 0)
		return bad_server(c->server, err);
	for (size_t i = 0; i < scheme; i++)
		if (c->server[i] >= 'A' && c->server[i] <= 'Z')
			c->server[i] = (char)(c->server[i] - 'A' + 'a');
	while (n > scheme && c->server[n - 1] == '/')
		c->server[--n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (c->server[i] <= ' ' || c->server[i] == 0x7f)
			return bad_server(c->server, err);
	if (n == scheme || c->server[scheme] == '/' || c->server[scheme] == ':' ||
	    strpbrk(c->server, "?#@\\"))
		return bad_server(c->server, err);
	return 0;
}

bool pg_in_cluster(const char *dir)
{
	pg_auto_free char *token = pg_asprintf("%s/token", dir);
	return token && given(getenv("KUBERNETES_SERVICE_HOST")) &&
	       given(getenv("KUBERNETES_SERVICE_PORT")) && access(token, F_OK) == 0;
}

int pg_in_cluster_config(const char *dir, struct pg_kubeconfig *c, struct pg_err *err)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	assert(host && port); /* pg_in_cluster() has said so */
	pg_auto_free char *ca = pg_asprintf("%s/ca.crt", dir);
	free(c->server);
	free(c->token_file);
	c->server = strchr(host, ':') ? pg_asprintf("https://[%s]:%s", host, port)
				      : pg_asprintf("https://%s:%s", host, port);
	c->token_file = pg_asprintf("%s/token", dir);
	if (!ca || !c->server || !c->token_file)
		return pg_fail(err, -ENOMEM, "read the service account");
	if (c->insecure || c->ca_pem || access(ca, F_OK) != 0)
		return 0; /* a flag says whom to trust, or the system's roots do */
	return pg_kube_pem_file(ca, &c->ca_pem, err);
}

char *pg_in_cluster_namespace(const char *dir)
{
	const char *env = getenv("POD_NAMESPACE");
	if (given(env))
		return pg_strdup(env);
	pg_auto_free char *path = pg_asprintf("%s/namespace", dir);
	struct pg_buf text = PG_BUF_INIT(4096);
	char *name = NULL;
	if (path && pg_read_file(path, &text, NULL) == 0)
		name = pg_strndup(pg_buf_str(&text), strcspn(pg_buf_str(&text), " \t\r\n"));
	pg_buf_fini(&text);
	if (name && *name)
		return name;
	free(name);
	return pg_strdup("default");
}
