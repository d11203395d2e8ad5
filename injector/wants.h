#pragma once
#include <stddef.h>

#include "injector/port_plan.h"
#include "injector/redirect.h"
#include "proto/base/opt.h"

/* From what the person typed to what is redirected where. */
struct pg_wants {
	struct pg_redirect_want items[PG_PAIRS_MAX];
	size_t count;
};

/* Adds the pairs that `words` name ("8080:3000", "http", ...), towards `local_address` (an IP
 * address or localhost). -EINVAL, -ENOENT with a hint. */
int pg_wants_named(const struct pg_pod *pod, const char *local_address, char **words, int count,
		   struct pg_wants *out, struct pg_err *err);

/* Adds outgoing ones: `words` are ports of others, as "5432" or "5432:15432". -EINVAL with a hint.
 */
int pg_wants_outgoing(const char *local_address, const struct pg_opt_list *words,
		      struct pg_wants *out, struct pg_err *err);

/* Adds every port that the agent sees listening, as pg_port_pairs_all() chooses them. */
int pg_wants_all(const struct pg_pod *pod, const char *local_address, const char *container,
		 struct pg_tunnel *tunnel, struct pg_wants *out, struct pg_err *err);
