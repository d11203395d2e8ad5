#include "injector/contexts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kubeconfig_files.h"
#include "proto/base/mem.h"

enum { NAMES_BYTES = 32 << 10 };

/* Adds the context `name`, or the current one (NULL). */
static int add(struct pg_contexts *c, const struct pg_kube_flags *flags, const char *name)
{
	struct pg_kube_flags one = *flags;
	struct pg_kubeconfig config;
	one.context = name;
	if (c->count == PG_CONTEXTS_MAX || pg_kubeconfig_load(&one, &config, NULL) < 0)
		return 0;
	char *copy = pg_strdup(name ? name : config.context);
	char *server = pg_strdup(config.server);
	pg_kubeconfig_fini(&config);
	if (!copy || !server) {
		free(copy);
		free(server);
		return -ENOMEM;
	}
	c->items[c->count].name = copy;
	c->items[c->count++].server = server;
	return 0;
}

int pg_contexts_load(const struct pg_kube_flags *flags, struct pg_contexts *out, struct pg_err *err)
{
	struct pg_kube_files files;
	*out = (struct pg_contexts){ .count = 0 };
	pg_auto_free char *names = pg_calloc(NAMES_BYTES, 1);
	if (!names)
		return pg_fail(err, -ENOMEM, "read the kubeconfig");
	if (flags->context)
		return add(out, flags, flags->context);
	int rc = pg_kube_files_load(flags->kubeconfig, &files, err);
	if (rc < 0)
		return rc;
	pg_kube_files_names(&files, "context", names, NAMES_BYTES);
	pg_kube_files_fini(&files);
	for (char *name = names; *name && rc == 0;) {
		size_t n = strcspn(name, ",");
		char *next = name[n] ? name + n + 2 : name + n;
		name[n] = '\0';
		rc = add(out, flags, name);
		name = next;
	}
	return rc < 0 ? pg_fail(err, rc, "read the kubeconfig") : 0;
}

void pg_contexts_fini(struct pg_contexts *c)
{
	for (size_t i = 0; i < c->count; i++) {
		free(c->items[i].name);
		free(c->items[i].server);
	}
	c->count = 0;
}
