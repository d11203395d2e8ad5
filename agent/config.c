#include "agent/config.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

const char *const pg_agent_profiles[] = { "redirect", "forward", "inspect", NULL };

const struct pg_opt pg_agent_opts[] = {
	{ .name = "laptop-key",
	  .kind = PG_OPT_TEXT,
	  .argument = "BASE64",
	  .help = "Ed25519 public key of the only user who is let in.",
	  .at = offsetof(struct pg_agent_options, laptop_key) },
	{ .name = "pod-uid",
	  .kind = PG_OPT_TEXT,
	  .argument = "UID",
	  .help = "The pod's uid, part of every proof.",
	  .at = offsetof(struct pg_agent_options, pod_uid) },
	{ .name = "container",
	  .kind = PG_OPT_TEXT,
	  .argument = "NAME",
	  .help = "This container's name, part of every proof and of the names of our rules.",
	  .at = offsetof(struct pg_agent_options, container) },
	{ .name = "profile",
	  .kind = PG_OPT_CHOICE,
	  .argument = "NAME",
	  .standard = "redirect",
	  .choices = pg_agent_profiles,
	  .help = "What this agent is for: redirect, forward or inspect.",
	  .at = offsetof(struct pg_agent_options, profile) },
	{ .name = "idle",
	  .kind = PG_OPT_DURATION,
	  .argument = "DURATION",
	  .standard = "30m",
	  .lo = 1000,
	  .hi = 7ull * 24 * 3600 * 1000,
	  .help = "End after this long without a session.",
	  .at = offsetof(struct pg_agent_options, idle_ms) },
	{ .name = "memory",
	  .kind = PG_OPT_SIZE,
	  .argument = "SIZE",
	  .standard = "64Mi",
	  .lo = 20ull << 20,
	  .hi = 64ull << 30,
	  .help = "Ceiling of what connections may hold; further ones go to the app.",
	  .at = offsetof(struct pg_agent_options, memory_bytes) },
	{ .name = "no-owner-flag",
	  .kind = PG_OPT_FLAG,
	  .help = "For tests: do as on Linux before 5.12, where rules expire instead of ending "
		  "with the agent.",
	  .at = offsetof(struct pg_agent_options, no_owner_flag) },
	{ .name = "help",
	  .letter = 'h',
	  .kind = PG_OPT_FLAG,
	  .help = "Show this help.",
	  .at = offsetof(struct pg_agent_options, help) },
	{ .name = "version",
	  .kind = PG_OPT_FLAG,
	  .help = "Show the version.",
	  .at = offsetof(struct pg_agent_options, version) },
	{ .name = NULL },
};

int pg_agent_options_read(int argc, char **argv, struct pg_agent_options *o, struct pg_err *err)
{
	struct pg_opt_set set = { "Options", pg_agent_opts, o };
	struct pg_operands operands = { 0 };
	*o = (struct pg_agent_options){ 0 };
	int rc = pg_opts_init(&set, 1, err);
	if (rc == 0)
		rc = pg_opts_parse(&set, 1, argc, argv, false, &operands, err);
	if (rc < 0 || o->help || o->version)
		return rc;
	if (operands.count != 1 || operands.command || strcmp(operands.items[0], "agent") != 0) {
		pg_fail(err, -EINVAL, "expected one word, 'agent', before the options");
		return pg_hint(err, PG_USER, "podgraft-agent agent --help");
	}
	return 0;
}

static int missing(const char *name, struct pg_err *err)
{
	pg_fail(err, -EINVAL, "--%s is missing or not of its form", name);
	return pg_hint(err, PG_USER,
		       "podgraft gives it when it grafts; podgraft-agent --help explains it");
}

/* A DNS-1123 name: it becomes part of the names of tables, and of what is signed. */
static bool is_name(const char *text)
{
	size_t n = text ? strlen(text) : 0;
	return n > 0 && n <= PG_NAME_MAX &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == n;
}

int pg_agent_options_config(const struct pg_agent_options *o, struct pg_agent_config *out,
			    struct pg_err *err)
{
	struct pg_agent_config c = { .pod_uid = o->pod_uid,
				     .container = o->container,
				     .profile = pg_agent_profiles[o->profile],
				     .idle_ms = o->idle_ms,
				     .memory_bytes = o->memory_bytes,
				     .no_owner_flag = o->no_owner_flag };
	if (!o->laptop_key || pg_b64_decode(o->laptop_key, c.laptop_key, PG_KEY_BYTES) < 0)
		return missing("laptop-key", err);
	if (!is_name(o->pod_uid))
		return missing("pod-uid", err);
	if (!is_name(o->container))
		return missing("container", err);
	*out = c;
	return 0;
}
