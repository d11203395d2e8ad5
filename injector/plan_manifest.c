#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "injector/plan.h"

/* The manifest: as little as makes it work, and nothing that somebody else's manifest would
 * overwrite. */

enum { RULES_MAX_BYTES = 4096 };

static bool is_missing(const struct pg_plan_right *r)
{
	return r->is_needed && r->granted == PG_PLAN_NO;
}

/* A string of somebody else's: JSON's are YAML's too. */
static int add_quoted(struct pg_buf *out, const char *text)
{
	json_t *s = json_string(text);
	char *quoted = s ? json_dumps(s, JSON_ENCODE_ANY) : NULL;
	int rc = quoted ? pg_buf_add_str(out, quoted) : -ENOMEM;
	free(quoted);
	json_decref(s);
	return rc;
}

/* The rule for one resource, with all its verbs that are missing. */
static int add_rule(const struct pg_plan *p, const char *resource, struct pg_buf *out)
{
	const char *dot = strchr(resource, '.');
	size_t n = dot ? (size_t)(dot - resource) : strlen(resource);
	const char *comma = "";
	int rc =
		pg_buf_addf(out, "  - apiGroups: [\"%s\"]\n    resources: [\"%.*s\"]\n    verbs: [",
			    dot ? dot + 1 : "", (int)n, resource);
	for (size_t i = 0; i < p->right_count && rc == 0; i++) {
		const struct pg_plan_right *r = &p->rights[i];
		if (!is_missing(r) || strcmp(r->resource, resource) != 0)
			continue;
		rc = pg_buf_addf(out, "%s\"%s\"", comma, r->verb);
		comma = ", ";
	}
	return rc < 0 ? rc : pg_buf_add_str(out, "]\n");
}

/* True when a right before number `at` has the same resource. */
static bool has_rule(const struct pg_plan *p, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (is_missing(&p->rights[i]) &&
		    strcmp(p->rights[i].resource, p->rights[at].resource) == 0)
			return true;
	return false;
}

static int add_rules(const struct pg_plan *p, struct pg_buf *out)
{
	int rc = 0;
	for (size_t i = 0; i < p->right_count && rc == 0; i++)
		if (is_missing(&p->rights[i]) && !has_rule(p, i))
			rc = add_rule(p, p->rights[i].resource, out);
	return rc;
}

/* FNV-1a over person and rules: one name for each Role, so that another person's, or a later one,
 * does not take away what this one gave. */
static uint32_t fingerprint(const char *user, const char *rules)
{
	uint32_t hash = 2166136261u;
	const char *const texts[] = { user, "\n", rules };
	for (size_t i = 0; i < PG_LEN(texts); i++)
		for (const char *s = texts[i]; *s; s++)
			hash = (hash ^ (unsigned char)*s) * 16777619u;
	return hash;
}

static int add_role(const struct pg_plan *p, const char *rules, struct pg_buf *out)
{
	uint32_t id = fingerprint(p->user, rules);
	int rc = pg_buf_addf(out,
			     "apiVersion: rbac.authorization.k8s.io/v1\n"
			     "kind: Role\n"
			     "metadata:\n"
			     "  name: podgraft-%08" PRIx32 "\n"
			     "  namespace: %s\n"
			     "rules:\n%s"
			     "---\n"
			     "apiVersion: rbac.authorization.k8s.io/v1\n"
			     "kind: RoleBinding\n"
			     "metadata:\n"
			     "  name: podgraft-%08" PRIx32 "\n"
			     "  namespace: %s\n"
			     "roleRef:\n"
			     "  apiGroup: rbac.authorization.k8s.io\n"
			     "  kind: Role\n"
			     "  name: podgraft-%08" PRIx32 "\n"
			     "subjects:\n"
			     "  - apiGroup: rbac.authorization.k8s.io\n"
			     "    kind: User\n"
			     "    name: ",
			     id, p->ns, rules, id, p->ns, id);
	if (rc == 0)
		rc = add_quoted(out, p->user[0] ? p->user : "YOUR USER'S NAME");
	return rc < 0 ? rc : pg_buf_add_str(out, "\n");
}

static int add_label(const struct pg_plan *p, struct pg_buf *out)
{
	return pg_buf_addf(out,
			   "apiVersion: v1\n"
			   "kind: Namespace\n"
			   "metadata:\n"
			   "  name: %s\n"
			   "  labels:\n"
			   "    pod-security.kubernetes.io/enforce: privileged\n",
			   p->ns);
}

int pg_plan_manifest(const struct pg_plan *plan, enum pg_profile profile, struct pg_buf *out)
{
	struct pg_buf rules = PG_BUF_INIT(RULES_MAX_BYTES);
	struct pg_err err = { .code = 0 };
	if (pg_plan_judge(plan, profile, &err) == PG_PLAN_YES || err.whose != PG_CLUSTER)
		return 0;
	int rc = add_rules(plan, &rules);
	if (rc == 0 && rules.len > 0)
		rc = add_role(plan, pg_buf_str(&rules), out);
	if (rc == 0 && rules.len > 0 && plan->profiles[profile].is_pod_security)
		rc = pg_buf_add_str(out, "---\n");
	if (rc == 0 && plan->profiles[profile].is_pod_security)
		rc = add_label(plan, out);
	pg_buf_fini(&rules);
	return rc;
}
