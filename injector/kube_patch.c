#include "injector/kube_patch.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_json.h"
#include "proto/base/mem.h"

enum { NOBODY = 65532, SUFFIX = 5, CAPS = 3 /* with a NULL at the end */ };

/* What each profile may do beyond nothing at all (design 3.3). Capabilities reach a process only as
 * uid 0: Kubernetes sets no ambient set. */
static const struct {
	const char *caps[CAPS];
	bool has_target; /* shares the target's process namespace, and its end */
} profiles[] = {
	[PG_PROFILE_REDIRECT] = { { "NET_ADMIN" }, false },
	[PG_PROFILE_FORWARD] = { { NULL }, false },
	[PG_PROFILE_INSPECT] = { { "SYS_PTRACE", "DAC_READ_SEARCH" }, true },
};
static_assert(PG_LEN(profiles) == PG_PROFILE_COUNT, "one row per profile");

const char *const *pg_kube_patch_caps(enum pg_profile profile)
{
	assert(profile < PG_PROFILE_COUNT);
	return profiles[profile].caps;
}

/* A reference has no space, and lower case before its tag or digest, less in the registry's name:
 * github.com/distribution/reference. The rest is the registry's to judge. */
static bool is_image(const char *image)
{
	const char *repository = strrchr(image, '/');
	repository = repository ? repository + 1 : image;
	size_t n = strspn(repository, "abcdefghijklmnopqrstuvwxyz0123456789._-");
	return n > 0 && (repository[n] == '\0' || repository[n] == ':' || repository[n] == '@') &&
	       strlen(image) < 512 &&
	       image[strspn(image, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789._-/:@[]")] == '\0';
}

int pg_kube_patch_check(const struct pg_graft_spec *spec, struct pg_err *err)
{
	const char *policy = spec->pull_policy;
	if (!is_image(spec->image)) {
		pg_fail(err, -EINVAL, "'%.200s' is no name of an image", spec->image);
		return pg_hint(err, PG_USER, "name it as REGISTRY/NAME:TAG with --image");
	}
	if (!policy || strcmp(policy, "Always") == 0 || strcmp(policy, "IfNotPresent") == 0 ||
	    strcmp(policy, "Never") == 0)
		return 0;
	pg_fail(err, -EINVAL, "'%.60s' is no pull policy", policy);
	return pg_hint(err, PG_USER, "--pull-policy is Always, IfNotPresent or Never");
}

void pg_kube_patch_name(char out[PG_NAME_MAX + 1])
{
	/* No vowels, nor letters that look like digits: k8s.io/apimachinery/pkg/util/rand. */
	static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
	uint32_t dice[SUFFIX];
	char suffix[SUFFIX + 1] = "";
	pg_random(dice, sizeof(dice));
	for (int i = 0; i < SUFFIX; i++)
		suffix[i] = alphabet[dice[i] % (sizeof(alphabet) - 1)];
	snprintf(out, PG_NAME_MAX + 1, "podgraft-%s", suffix);
}

/* The shortest text with a unit of pg_parse_duration(), pg_parse_size(). */
static void duration_text(uint64_t ms, char *out, size_t room)
{
	if (ms % 60000 == 0)
		snprintf(out, room, "%" PRIu64 "m", ms / 60000);
	else if (ms % 1000 == 0)
		snprintf(out, room, "%" PRIu64 "s", ms / 1000);
	else
		snprintf(out, room, "%" PRIu64 "ms", ms);
}

static void size_text(uint64_t bytes, char *out, size_t room)
{
	if (bytes % (1 << 20) == 0)
		snprintf(out, room, "%" PRIu64 "Mi", bytes >> 20);
	else if (bytes % (1 << 10) == 0)
		snprintf(out, room, "%" PRIu64 "Ki", bytes >> 10);
	else
		snprintf(out, room, "%" PRIu64, bytes);
}

static json_t *args_json(const struct pg_pod *pod, const struct pg_graft_spec *spec,
			 const char *name)
{
	char key[PG_B64_KEY], idle[32], memory[32];
	pg_b64_encode(spec->keys->pub, sizeof(spec->keys->pub), key);
	duration_text(spec->idle_ms, idle, sizeof(idle));
	size_text(spec->memory_bytes, memory, sizeof(memory));
	return json_pack("[s,s,s,s,s,s,s,s,s,s,s,s,s]", "agent", "--laptop-key", key, "--pod-uid",
			 pod->uid, "--container", name, "--profile", pg_profile_name(spec->profile),
			 "--idle", idle, "--memory", memory);
}

static json_t *security_json(enum pg_profile profile)
{
	json_t *added = json_array();
	for (int i = 0; i < CAPS && profiles[profile].caps[i]; i++)
		json_array_append_new(added, json_string(profiles[profile].caps[i]));
	bool needs_root = json_array_size(added) > 0;
	json_t *caps = json_pack("{s:[s]}", "drop", "ALL");
	if (needs_root)
		json_object_set(caps, "add", added);
	json_decref(added);
	int id = needs_root ? 0 : NOBODY;
	return json_pack("{s:b,s:i,s:i,s:b,s:b,s:o,s:{s:s}}", "allowPrivilegeEscalation", 0,
			 "runAsUser", id, "runAsGroup", id, "runAsNonRoot", !needs_root,
			 "readOnlyRootFilesystem", 1, "capabilities", caps, "seccompProfile",
			 "type", "RuntimeDefault");
}

char *pg_kube_patch_text(const struct pg_pod *pod, const struct pg_graft_spec *spec,
			 const char *name)
{
	assert(spec->profile < PG_PROFILE_COUNT);
	json_t *c = json_pack("{s:s,s:s,s:o,s:o,s:s}", "name", name, "image", spec->image, "args",
			      args_json(pod, spec, name), "securityContext",
			      security_json(spec->profile), "terminationMessagePolicy",
			      "FallbackToLogsOnError");
	if (c && spec->pull_policy)
		json_object_set_new(c, "imagePullPolicy", json_string(spec->pull_policy));
	if (c && profiles[spec->profile].has_target)
		json_object_set_new(c, "targetContainerName", json_string(pod->container));
	json_t *patch = json_pack("{s:{s:s},s:{s:[o]}}", "metadata", "uid", pod->uid, "spec",
				  "ephemeralContainers", c);
	char *text = patch ? json_dumps(patch, JSON_COMPACT) : NULL;
	json_decref(patch);
	return text;
}

/* True when `flag` is given exactly once in `args`, with `value`. */
static bool has_arg(const json_t *args, const char *flag, const char *value)
{
	size_t seen = 0, fits = 0;
	for (size_t i = 0; i < json_array_size(args); i++) {
		const char *arg = json_string_value(json_array_get(args, i));
		const char *next = json_string_value(json_array_get(args, i + 1));
		if (!arg || strcmp(arg, flag) != 0)
			continue;
		seen++;
		fits += next && strcmp(next, value) == 0;
	}
	return seen == 1 && fits == 1;
}

bool pg_kube_patch_is_ours(const json_t *pod_json, const struct pg_pod *pod,
			   const struct pg_graft_spec *spec, enum pg_profile profile,
			   const char *name)
{
	char key[PG_B64_KEY];
	const json_t *c = pg_json_find(pod_json, "spec.ephemeralContainers", "name", name);
	const json_t *args = pg_json_at(c, "args");
	const char *target = profiles[profile].has_target ? pod->container : "";
	pg_b64_encode(spec->keys->pub, sizeof(spec->keys->pub), key);
	return c && strcmp(pg_json_str(pod_json, "metadata.uid"), pod->uid) == 0 &&
	       strcmp(pg_json_str(c, "image"), spec->image) == 0 &&
	       strcmp(pg_json_str(c, "targetContainerName"), target) == 0 &&
	       !pg_json_at(c, "command") && has_arg(args, "--laptop-key", key) &&
	       has_arg(args, "--pod-uid", pod->uid) && has_arg(args, "--container", name) &&
	       has_arg(args, "--profile", pg_profile_name(profile));
}

static bool has_text(const json_t *array, const char *text)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *item = json_string_value(json_array_get(array, i));
		if (item && strcmp(item, text) == 0)
			return true;
	}
	return false;
}

int pg_kube_patch_kept(const json_t *pod_json, enum pg_profile profile, const char *name,
		       struct pg_err *err)
{
	const json_t *security =
		pg_json_at(pg_json_find(pod_json, "spec.ephemeralContainers", "name", name),
			   "securityContext");
	const json_t *added = pg_json_at(security, "capabilities.add");
	for (int i = 0; i < CAPS && profiles[profile].caps[i]; i++) {
		if (has_text(added, profiles[profile].caps[i]))
			continue;
		pg_fail(err, -EACCES, "something in this cluster takes %s from the agent.",
			profiles[profile].caps[i]);
		return pg_hint(err, PG_CLUSTER,
			       "ask those who run its mutating webhooks and policies; only "
			       "--profile forward needs no capability");
	}
	if (!profiles[profile].caps[0] ||
	    (pg_json_int(security, "runAsUser", 0) == 0 && !pg_json_true(security, "runAsNonRoot")))
		return 0;
	pg_fail(err, -EACCES,
		"something in this cluster keeps the agent from running as root, and only root can "
		"have capabilities.");
	return pg_hint(err, PG_CLUSTER,
		       "ask those who run its mutating webhooks and policies; only --profile "
		       "forward needs no root");
}
