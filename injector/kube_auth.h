#pragma once
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

/* The peer for the next request, good until the next call of this module. May run the plugin
 * (straight-line: waits in pg_loop_wait()). */
int pg_kube_auth_peer(struct pg_kube_auth *a, const struct pg_http_peer **out, struct pg_err *err);

/* The server said 401: forgets what a plugin or token file gave. True when trying again may help,
 * which is so once per request. */
bool pg_kube_auth_refused(struct pg_kube_auth *a);
