#pragma once
#include "injector/kube_auth_answer.h"
#include "proto/io/loop.h"

enum { PG_EXEC_OUTPUT_MAX = 1 << 20 };

/* Runs the plugin of config->exec and reads its answer: straight-line, waits in pg_loop_wait(); an
 * interrupt kills it (-ECANCELED). Its standard error is ours, its standard input as the mode
 * says. Class PG_CLUSTER, with the plugin's installHint when it is not there. */
int pg_exec_run(struct pg_loop *loop, const struct pg_kubeconfig *config,
		struct pg_exec_answer *out, struct pg_err *err);
