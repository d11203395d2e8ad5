#pragma once
#include "injector/kubeconfig.h"
#include "injector/kubeconfig_files.h"

/* The pieces of pg_kubeconfig_load(); nobody else needs them. All fill owned members of `c`, also
 * when they fail: pg_kubeconfig_fini() ends it either way. */

/* Server, CA, TLS name, proxy. `e` may be absent (no file names a cluster). */
int pg_kubeconfig_cluster(const struct pg_kube_entry *e, const struct pg_kube_flags *flags,
			  struct pg_kubeconfig *c, struct pg_err *err);

/* "host" gets a scheme, slashes at the end go, and the rest is checked. Reads c->ca_pem and the
 * like to know whether TLS is meant. */
int pg_kubeconfig_server(struct pg_kubeconfig *c, struct pg_err *err);

/* Certificate, token, basic auth, exec plugin, impersonation. `cluster` gives the plugin what its
 * provideClusterInfo asks for. */
int pg_kubeconfig_user(const struct pg_kube_entry *e, const struct pg_kube_entry *cluster,
		       const struct pg_kube_flags *flags, struct pg_kubeconfig *c,
		       struct pg_err *err);

/* The exec plugin of a user entry. */
int pg_kubeconfig_exec(const struct pg_kube_entry *e, const struct pg_kube_entry *cluster,
		       struct pg_kube_exec **out, struct pg_err *err);
void pg_kube_exec_free(struct pg_kube_exec *x);

/* The id-token of auth-provider "oidc" as the bearer token, while it is valid at `now_s` (seconds
 * since 1970). Other providers, and an expired token, fail. */
int pg_kubeconfig_auth_provider(const struct pg_kube_entry *e, long long now_s,
				struct pg_kubeconfig *c, struct pg_err *err);

/* Where a pod's service account is mounted. */
#define PG_SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

/* True when this process runs in a pod: KUBERNETES_SERVICE_HOST and _PORT and DIR/token exist. */
bool pg_in_cluster(const char *dir);
/* Server, CA and token file of the pod's service account; flags win. */
int pg_in_cluster_config(const char *dir, struct pg_kubeconfig *c, struct pg_err *err);
/* POD_NAMESPACE, else DIR/namespace, else "default". Owned; NULL: out of memory. */
char *pg_in_cluster_namespace(const char *dir);

/* Replaces *slot by a copy of `text` when that is not NULL nor "". 0 or -ENOMEM. */
int pg_kube_set(char **slot, const char *text, struct pg_err *err);
