#pragma once
#include "injector/credential.h"
#include "injector/http.h"
#include "injector/kubeconfig.h"

/* Turns a kubeconfig into what each request carries: bearer token (files are read again each
 * minute), impersonation headers, and the answers of an exec credential plugin, run when needed,
 * kept until they expire. */
struct pg_kube_auth;

/* `config` is borrowed for the life of the result. */
struct pg_kube_auth *pg_kube_auth_new(struct pg_loop *loop, const struct pg_kubeconfig *config,
				      struct pg_err *err);
void pg_kube_auth_free(struct pg_kube_auth *a);

/* From now on the plugin is not run: its answers come from `source`, which is borrowed. */
void pg_kube_auth_from(struct pg_kube_auth *a, const struct pg_credential_source *source);

/* For another process that works for the same person: lends the plugin's answer that is newer than
 * number `after`, good until the next call of this module; runs the plugin where it must. -ENOENT:
 * there is no plugin. Straight-line. */
int pg_kube_auth_share(struct pg_kube_auth *a, unsigned after, const struct pg_exec_answer **out,
		       unsigned *number_out, struct pg_err *err);

/* The peer for the next request, good until the next call of this module. May run the plugin
 * (straight-line: waits in pg_loop_wait()). */
int pg_kube_auth_peer(struct pg_kube_auth *a, const struct pg_http_peer **out, struct pg_err *err);

/* The server said 401: forgets what a plugin or token file gave. True when trying again may help,
 * which is so once per request. */
bool pg_kube_auth_refused(struct pg_kube_auth *a);
