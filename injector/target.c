#include "injector/target.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { NAMES = 4 };

/* Singular, plural and kubectl's short name; the singular comes first. A group may follow after a
 * dot, as in "deployments.apps". */
static const struct {
	const char *names[NAMES], *group;
} kinds[] = {
	[PG_KIND_POD] = { { "pod", "pods", "po" }, "" },
	[PG_KIND_DEPLOYMENT] = { { "deployment", "deployments", "deploy" }, "apps" },
	[PG_KIND_STATEFULSET] = { { "statefulset", "statefulsets", "sts" }, "apps" },
	[PG_KIND_DAEMONSET] = { { "daemonset", "daemonsets", "ds" }, "apps" },
	[PG_KIND_REPLICASET] = { { "replicaset", "replicasets", "rs" }, "apps" },
	[PG_KIND_REPLICATIONCONTROLLER] = { { "replicationcontroller", "replicationcontrollers",
					      "rc" },
					    "" },
	[PG_KIND_JOB] = { { "job", "jobs" }, "batch" },
	[PG_KIND_SERVICE] = { { "service", "services", "svc" }, "" },
};
static_assert(PG_LEN(kinds) == PG_KIND_COUNT, "one row per kind");

const char *pg_target_kind_name(enum pg_target_kind kind)
{
	assert(kind < PG_KIND_COUNT);
	return kinds[kind].names[0];
}

/* "apps" or "v1.apps" after the first dot; nothing at all is fine too. */
static bool group_fits(const char *rest, const char *group)
{
	if (*rest == '\0')
		return true;
	rest++;
	if (strncasecmp(rest, "v1.", 3) == 0)
		rest += 3;
	return *group && strcasecmp(rest, group) == 0;
}

static bool find_kind(const char *type, size_t n, enum pg_target_kind *out)
{
	char word[64];
	if (n >= sizeof(word))
		return false;
	snprintf(word, sizeof(word), "%.*s", (int)n, type);
	size_t dot = strcspn(word, ".");
	for (int k = 0; k < PG_KIND_COUNT; k++) {
		for (int i = 0; i < NAMES && kinds[k].names[i]; i++) {
			const char *name = kinds[k].names[i];
			if (strlen(name) == dot && strncasecmp(word, name, dot) == 0 &&
			    group_fits(word + dot, kinds[k].group)) {
				*out = (enum pg_target_kind)k;
				return true;
			}
		}
	}
	return false;
}

/* A DNS-1123 subdomain: what the API server takes as a name. Guards the paths we build, too. */
static bool is_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.");
	return n > 0 && n <= 253 && s[n] == '\0' && s[0] != '-' && s[0] != '.' && s[n - 1] != '-' &&
	       s[n - 1] != '.';
}

int pg_target_parse(const char *text, struct pg_target *out, struct pg_err *err)
{
	struct pg_target t = { .kind = PG_KIND_POD };
	const char *slash = strchr(text, '/');
	const char *name = slash ? slash + 1 : text;
	if (slash && !find_kind(text, (size_t)(slash - text), &t.kind)) {
		pg_fail(err, -EINVAL, "target '%.100s': podgraft does not know the type '%.*s'",
			text, (int)(slash - text < 60 ? slash - text : 60), text);
		return pg_hint(err, PG_USER,
			       "a target is NAME, or one of pod/ deploy/ sts/ ds/ "
			       "rs/ rc/ job/ svc/ followed by a name");
	}
	if (!is_name(name)) {
		pg_fail(err, -EINVAL, "target '%.100s': '%.100s' is no name of a %s", text, name,
			kinds[t.kind].names[0]);
		return pg_hint(err, PG_USER,
			       "a name has lower-case letters, digits, '-' and '.'; "
			       "a target is NAME or TYPE/NAME, as in deploy/web");
	}
	snprintf(t.name, sizeof(t.name), "%s", name);
	*out = t;
	return 0;
}
