#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "proto/base/err.h"

/* kubectl's configuration: which server, as whom, in which namespace. Files are found, merged and
 * checked as client-go does it (Kubernetes 1.36); flags come last. */

/* kubectl's common flags, as given; NULL or false: not given. Borrowed. */
struct pg_kube_flags {
	const char *kubeconfig, *context, *cluster, *user, *namespace_, *server, *token;
	const char *as, *as_uid;
	const char *const *as_groups; /* NULL-terminated, or NULL */
	const char *certificate_authority, *client_certificate, *client_key, *tls_server_name;
	bool insecure_skip_tls_verify;
	unsigned long long request_timeout_ms; /* 0: none */
};

/* An exec credential plugin (client.authentication.k8s.io/v1 and v1beta1). */
struct pg_kube_exec {
	char *api_version, *command, *install_hint, *interactive_mode;
	char **args; /* NULL-terminated */
	char **env;  /* "NAME=value", NULL-terminated */
	bool provide_cluster_info;
	char *cluster_config_json; /* the cluster's extension for the plugin, or NULL */
};

/* The answer: everything owned, ended by pg_kubeconfig_fini(). */
struct pg_kubeconfig {
	char *context;    /* name, "" when made of flags or in-cluster */
	char *namespace_; /* never NULL */
	char *server;     /* "https://host:port/prefix", no slash at the end */
	char *tls_server_name;
	bool insecure, disable_compression;
	char *ca_pem, *cert_pem, *key_pem; /* contents, whatever they came from; NULL: none */
	char *proxy_url;                   /* NULL: none configured */
	char *token, *token_file, *username, *password;
	char *as, *as_uid;
	char **as_groups;          /* NULL-terminated, or NULL */
	char **as_extra;           /* "key=value", NULL-terminated, or NULL */
	struct pg_kube_exec *exec; /* or NULL */
	unsigned long long request_timeout_ms;
};

/* Finds, reads, merges, applies flags and checks. 0, or a negative errno with a message that names
 * the file or flag, whose PG_USER or PG_CLUSTER, and a hint. */
int pg_kubeconfig_load(const struct pg_kube_flags *flags, struct pg_kubeconfig *out,
		       struct pg_err *err);
void pg_kubeconfig_fini(struct pg_kubeconfig *c);
