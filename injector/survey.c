#include "injector/survey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"

static bool has(const struct pg_survey *s, const struct pg_agent_seen *agent)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->agents[i].uid, agent->uid) == 0 &&
		    strcmp(s->agents[i].container, agent->container) == 0)
			return true;
	return false;
}

static void on_found(void *ctx, const struct pg_agent_seen *agent)
{
	struct pg_survey *s = ctx;
	if (has(s, agent)) /* the list started over */
		return;
	if (s->count == PG_SURVEY_MAX)
		s->is_cut = true;
	else
		s->agents[s->count++] = *agent;
}

int pg_survey_take(struct pg_platform *p, const struct pg_agents_wish *wish, struct pg_survey *out,
		   struct pg_err *err)
{
	*out = (struct pg_survey){ .agents = pg_calloc(PG_SURVEY_MAX, sizeof(*out->agents)) };
	if (!out->agents)
		return pg_fail(err, -ENOMEM, "look for agents");
	return p->ops->agents(p, wish, on_found, out, err);
}

void pg_survey_fini(struct pg_survey *s)
{
	free(s->agents);
	*s = (struct pg_survey){ .count = 0 };
}
