#pragma once
#include <stdbool.h>

#include "agent/agent.h"
#include "proto/base/opt.h"

/* The agent's command line, pure. The first word names what to do: "agent" is the only one yet. */
struct pg_agent_options {
	const char *laptop_key, *pod_uid, *container;
	int profile; /* index into pg_agent_profiles */
	uint64_t idle_ms, memory_bytes;
	bool no_owner_flag, help, version;
};

extern const struct pg_opt pg_agent_opts[]; /* ends with a row without a name */
extern const char *const pg_agent_profiles[];

/* Reads argv (argc words, without the program's name) into *o. -EINVAL with a hint. With help or
 * version set nothing else is checked. */
int pg_agent_options_read(int argc, char **argv, struct pg_agent_options *o, struct pg_err *err);

/* The checked configuration; strings are borrowed from `o`. */
int pg_agent_options_config(const struct pg_agent_options *o, struct pg_agent_config *out,
			    struct pg_err *err);
