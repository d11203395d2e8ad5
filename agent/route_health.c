#include "agent/route.h"

void pg_route_health(struct pg_routes *r, const struct pg_request *rq,
		     const struct pg_statement *st, struct pg_answer *a)
{
	struct pg_json j = pg_json(&a->body);
	(void)r;
	(void)rq;
	(void)st;
	pg_json_open(&j, '{');
	pg_json_member_str(&j, "status", "ok");
	pg_json_member_u64(&j, "protocol", PG_PROTOCOL);
	pg_json_close(&j, '}');
	pg_route_finish(a, &j);
}
