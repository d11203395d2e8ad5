#pragma once
#include <stddef.h>

#include "injector/kubeconfig.h"

/* The contexts of the kubeconfig, and which server each leads to. */
enum { PG_CONTEXTS_MAX = 128 };

struct pg_contexts {
	struct {
		char *name, *server; /* owned */
	} items[PG_CONTEXTS_MAX];
	size_t count;
};

/* Reads those that `flags` (less its context) leave to choose from: its one context if it names
 * one. A context that cannot be used is left out. Ended by pg_contexts_fini() in any case. */
int pg_contexts_load(const struct pg_kube_flags *flags, struct pg_contexts *out,
		     struct pg_err *err);
void pg_contexts_fini(struct pg_contexts *c);
