#include "agent/route.h"

void pg_route_processes(struct pg_routes *r, const struct pg_request *rq,
			const struct pg_statement *st, struct pg_answer *a)
{
	(void)r;
	(void)rq;
	(void)st;
	pg_route_refuse(a, 501, "not there yet", "update the agent");
}
