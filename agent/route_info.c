#include "agent/route.h"

void pg_route_info(struct pg_routes *r, const struct pg_request *rq, const struct pg_statement *st,
		   struct pg_answer *a)
{
	struct pg_buf live = PG_BUF_INIT(PG_HTTPD_BODY_MAX / 2);
	struct pg_json j = pg_json(&a->body);
	(void)rq;
	(void)st;
	pg_json_open(&j, '{');
	pg_json_member_str(&j, "version", r->id.version);
	pg_json_member_u64(&j, "protocol", PG_PROTOCOL);
	pg_json_member_str(&j, "pod_uid", r->id.pod_uid);
	pg_json_member_str(&j, "container", r->id.container);
	pg_json_member_str(&j, "profile", r->id.profile);
	if (r->events.info)
		r->events.info(r->ctx, &live);
	if (live.len > 0)
		pg_json_raw(&j, pg_buf_str(&live));
	pg_json_close(&j, '}');
	pg_route_finish(a, &j);
	pg_buf_fini(&live);
}
