#pragma once
#include <jansson.h>
#include <stddef.h>

#include "proto/base/err.h"

/* YAML to a tree of jansson values: the one door to libyaml. Scalars get the types that kubectl
 * gives them: plain true, yes, on and their opposites are booleans, JSON numbers are numbers, ~,
 * null and nothing are null, all else is text. Aliases and "<<" work, and cannot blow up. */
enum {
	PG_YAML_DEPTH_MAX = 48,
	PG_YAML_NODES_MAX = 200000, /* an alias counts as what it stands for */
};

/* The first document in the `n` bytes of `text`, YAML or JSON; NULL in *out (and 0) when there is
 * none. The caller owns *out (json_decref). -EINVAL with the line for what is no YAML, -E2BIG over
 * the limits, -ENOMEM; *out is untouched then. */
int pg_yaml_parse(const char *text, size_t n, json_t **out, struct pg_err *err);
