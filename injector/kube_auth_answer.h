#pragma once
#include <stddef.h>
#include <stdint.h>

#include "injector/kubeconfig.h"
#include "proto/base/buf.h"
#include "proto/base/err.h"

/* What an exec credential plugin is told and what it answers
 * (client.authentication.k8s.io/v1, Kubernetes 1.36). Pure. */
struct pg_exec_answer {
	char *token, *cert_pem, *key_pem; /* owned; NULL: not given */
	int64_t expires_s;                /* seconds since 1970; INT64_MAX: never */
};

/* Reads the plugin's output. -EINVAL with a message for anything but an ExecCredential of version
 * `api_version` with a token or a certificate and its key; *out is untouched then. */
int pg_exec_answer_parse(const char *text, size_t n, const char *api_version,
			 struct pg_exec_answer *out, struct pg_err *err);
void pg_exec_answer_fini(struct pg_exec_answer *a);

/* Adds the value of KUBERNETES_EXEC_INFO. 0 or -ENOMEM. */
int pg_exec_info(const struct pg_kubeconfig *config, bool interactive, struct pg_buf *out);
