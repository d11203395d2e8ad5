#include "injector/plan_print.h"

#include <stdio.h>
#include <string.h>

#include "injector/kube_patch.h"

enum { MANIFEST_MAX_BYTES = 16 << 10 };

/* What people come for, each with the profile that has the least for it. */
static const struct {
	const char *name, *command;
	enum pg_profile profile;
} jobs[] = {
	{ "redirect", "redirect", PG_PROFILE_REDIRECT },
	{ "forward", "inject --profile forward", PG_PROFILE_FORWARD },
	{ "ps", "ps", PG_PROFILE_INSPECT },
	{ "token", "token --profile forward", PG_PROFILE_FORWARD },
};

/* What only an agent in the pod can find out. */
static const char *const unknowns[] = {
	"whether the node's kernel and the pod's sandbox have nf_tables",
	"whether a service mesh has rules in the pod",
	"whether the node can pull the image",
};

const char *pg_plan_job_of(enum pg_profile profile)
{
	for (size_t i = 0; i < PG_LEN(jobs); i++)
		if (jobs[i].profile == profile)
			return jobs[i].command;
	return pg_profile_name(profile);
}

static const char *or_unknown(const char *text)
{
	return text[0] ? text : "unknown";
}

/* "SYS_PTRACE, DAC_READ_SEARCH", or "nothing". */
static void list_capabilities(enum pg_profile profile, char *out, size_t room)
{
	size_t used = 0;
	snprintf(out, room, "nothing");
	for (const char *const *cap = pg_kube_patch_caps(profile); *cap; cap++) {
		int n = snprintf(out + used, room - used, "%s%s", used ? ", " : "", *cap);
		used = n < 0 || (size_t)n >= room - used ? room - 1 : used + (size_t)n;
	}
}

static void print_place(struct pg_output *o, const struct pg_plan *p)
{
	pg_output_print(o, "user         %s", or_unknown(p->user));
	pg_output_print(o, "namespace    %s; PodSecurity enforces: %s", p->ns,
			!p->is_namespace_known ? "unknown"
			: p->enforce[0]        ? p->enforce
					       : "the cluster's default");
	if (!p->is_pod_known) {
		pg_output_print(o, "pod          unknown");
		return;
	}
	pg_output_print(o, "pod          %s; %s; %s%s%s", p->pod.name, or_unknown(p->phase),
			p->pod.host_network ? "its node's network" : "a network of its own",
			p->runtime_class[0] ? "; runtime class " : "", p->runtime_class);
	pg_output_print(o, "node         %s; %s/%s; kernel %s; runtime %s", p->pod.node,
			or_unknown(p->os), or_unknown(p->arch), or_unknown(p->kernel),
			or_unknown(p->runtime));
	pg_output_print(o, "port-forward %s",
			p->way == PG_PLAN_YES  ? "gets through"
			: p->way == PG_PLAN_NO ? "does not get through"
					       : "unknown");
}

static void print_jobs(struct pg_output *o, const struct pg_plan *p)
{
	char caps[128];
	pg_output_print(o, "%s", "");
	pg_output_print(o, "%-25s %-8s %s", "JOB", "WORKS", "CAPABILITIES IN THE POD");
	for (size_t i = 0; i < PG_LEN(jobs); i++) {
		enum pg_plan_answer works = pg_plan_judge(p, jobs[i].profile, NULL);
		list_capabilities(jobs[i].profile, caps, sizeof(caps));
		pg_output_print(o, "%-25s %-8s %s", jobs[i].command, pg_plan_answer_name(works),
				caps);
	}
}

/* Why other jobs than the one that it is about would not work, where the reason is another. */
static void print_reasons(struct pg_output *o, const struct pg_plan *p, enum pg_profile aim)
{
	struct pg_err of_aim = { .code = 0 }, err;
	pg_plan_judge(p, aim, &of_aim);
	for (size_t i = 0; i < PG_LEN(jobs); i++) {
		err = (struct pg_err){ .code = 0 };
		if (pg_plan_judge(p, jobs[i].profile, &err) == PG_PLAN_YES ||
		    strcmp(err.what, of_aim.what) == 0)
			continue;
		pg_output_print(o, "%s", "");
		pg_output_print(o, "%s: %s", jobs[i].command, err.what);
		pg_output_print(o, "  hint: %s", err.hint);
	}
}

static void print_rights(struct pg_output *o, const struct pg_plan *p, bool is_needed,
			 const char *title)
{
	for (size_t i = 0; i < p->right_count; i++) {
		const struct pg_plan_right *r = &p->rights[i];
		char right[64];
		if (r->is_needed != is_needed || r->granted == PG_PLAN_YES)
			continue;
		if (title) {
			pg_output_print(o, "%s", "");
			pg_output_print(o, "%s", title);
		}
		title = NULL;
		snprintf(right, sizeof(right), "%s %s", r->verb, r->resource);
		pg_output_print(o, "  %-32s %s%s", right, r->purpose,
				r->granted == PG_PLAN_UNKNOWN ? " (unknown)" : "");
	}
}

void pg_plan_print_manifest(struct pg_output *o, const char *manifest)
{
	while (*manifest) {
		size_t n = strcspn(manifest, "\n");
		pg_output_print(o, "%.*s", (int)n, manifest);
		manifest += n + (manifest[n] == '\n');
	}
}

static void print_text(struct pg_output *o, const struct pg_plan *p, enum pg_profile aim,
		       const char *image, const char *manifest)
{
	print_place(o, p);
	pg_output_print(o, "image        %s", image);
	print_jobs(o, p);
	print_reasons(o, p, aim);
	print_rights(o, p, true, "Rights that are missing:");
	print_rights(o, p, false, "Rights that would help, and are missing:");
	pg_output_print(o, "%s", "");
	pg_output_print(o, "Unknown until grafted:");
	for (size_t i = 0; i < PG_LEN(unknowns); i++)
		pg_output_print(o, "  %s", unknowns[i]);
	if (!manifest[0])
		return;
	pg_output_print(o, "%s", "");
	pg_output_print(o, "# What an administrator would have to allow: kubectl apply -f -");
	pg_plan_print_manifest(o, manifest);
}

/* Empty text is what nobody knows: null. */
static const char *or_null(const char *text)
{
	return text[0] ? text : NULL;
}

static json_t *jobs_json(const struct pg_plan *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < PG_LEN(jobs); i++) {
		struct pg_err err = { .code = 0 };
		enum pg_plan_answer works = pg_plan_judge(p, jobs[i].profile, &err);
		json_t *caps = json_array();
		for (const char *const *cap = pg_kube_patch_caps(jobs[i].profile); *cap; cap++)
			json_array_append_new(caps, json_string(*cap));
		pg_sanitize(err.what);
		pg_sanitize(err.hint);
		json_array_append_new(list,
				      json_pack("{s:s,s:s,s:s,s:o,s:s,s:s,s:s}", "job",
						jobs[i].name, "command", jobs[i].command, "profile",
						pg_profile_name(jobs[i].profile), "capabilities",
						caps, "works", pg_plan_answer_name(works),
						"message", err.what, "hint", err.hint));
	}
	return list;
}

static json_t *rights_json(const struct pg_plan *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->right_count; i++) {
		const struct pg_plan_right *r = &p->rights[i];
		json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:b,s:s}", "verb", r->verb,
						      "resource", r->resource, "purpose",
						      r->purpose, "needed", r->is_needed, "granted",
						      pg_plan_answer_name(r->granted)));
	}
	return list;
}

static json_t *place_json(const struct pg_plan *p)
{
	if (!p->is_pod_known)
		return json_null();
	return json_pack("{s:s,s:s?,s:b,s:s?,s:{s:s,s:s?,s:s?,s:s?,s:s?}}", "name", p->pod.name,
			 "phase", or_null(p->phase), "host_network", p->pod.host_network,
			 "runtime_class", or_null(p->runtime_class), "node", "name", p->pod.node,
			 "os", or_null(p->os), "arch", or_null(p->arch), "kernel",
			 or_null(p->kernel), "runtime", or_null(p->runtime));
}

static void print_json(struct pg_output *o, const struct pg_plan *p, const char *image,
		       const char *manifest)
{
	json_t *until = json_array();
	for (size_t i = 0; i < PG_LEN(unknowns); i++)
		json_array_append_new(until, json_string(unknowns[i]));
	pg_output_event(o, "plan", "{s:s?,s:s,s:{s:b,s:s?},s:o,s:s,s:s,s:o,s:o,s:o,s:s}", "user",
			or_null(p->user), "namespace", p->ns, "pod_security", "known",
			p->is_namespace_known, "enforce", or_null(p->enforce), "pod", place_json(p),
			"port_forward", pg_plan_answer_name(p->way), "image", image, "jobs",
			jobs_json(p), "rights", rights_json(p), "unknown_until_grafted", until,
			"manifest", manifest);
}

void pg_plan_print(struct pg_output *o, const struct pg_plan *plan, enum pg_profile aim,
		   const char *image)
{
	struct pg_buf manifest = PG_BUF_INIT(MANIFEST_MAX_BYTES);
	pg_plan_manifest(plan, aim, &manifest);
	if (o->format == PG_FORMAT_TEXT)
		print_text(o, plan, aim, image, pg_buf_str(&manifest));
	else
		print_json(o, plan, image, pg_buf_str(&manifest));
	pg_buf_fini(&manifest);
}
