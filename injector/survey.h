#pragma once
#include <stddef.h>

#include "injector/platform.h"

/* The agents of some pods, gathered: what `status` shows and `undo` ends. */
enum { PG_SURVEY_MAX = 1024 };

struct pg_survey {
	struct pg_agent_seen *agents; /* owned */
	size_t count;
	bool is_cut; /* there were more than fit */
};

/* Fills *out, which the caller ends with pg_survey_fini() in any case. */
int pg_survey_take(struct pg_platform *p, const struct pg_agents_wish *wish, struct pg_survey *out,
		   struct pg_err *err);
void pg_survey_fini(struct pg_survey *s);
