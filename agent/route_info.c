#include "agent/route.h"
#include "proto/wire/podgraft.pb-c.h"

/* GET /v1/info: who this agent is and what it does at this moment. */

static void away_as_json(struct pg_json *j, const struct pg_away_redirect *r)
{
	pg_json_open(j, '{');
	pg_json_member_str(j, "direction", r->direction == PG_OUTGOING ? "outgoing" : "incoming");
	pg_json_member_u64(j, "port", r->port);
	pg_json_member_str(j, "by", r->holder);
	pg_json_member_u64(j, "since", r->since);
	pg_json_member_u64(j, "away_since", r->away_since);
	pg_json_close(j, '}');
}

static void as_json(const struct pg_identity *id, const struct pg_facts *now, struct pg_answer *a)
{
	struct pg_json j = pg_json(&a->body);
	pg_json_open(&j, '{');
	pg_json_member_str(&j, "version", id->version);
	pg_json_member_u64(&j, "protocol", PG_PROTOCOL);
	pg_json_member_str(&j, "pod_uid", id->pod_uid);
	pg_json_member_str(&j, "container", id->container);
	pg_json_member_str(&j, "profile", id->profile);
	pg_json_member_u64(&j, "sessions", now->sessions);
	pg_json_member_u64(&j, "redirects", now->redirects);
	pg_json_member_str(&j, "mechanism", now->mechanism);
	pg_json_member_u64(&j, "connections", now->connections);
	pg_json_member_u64(&j, "served", now->served);
	pg_json_member_u64(&j, "fallen_back", now->fallen_back);
	pg_json_member_u64(&j, "probes", now->probes);
	pg_json_key(&j, "away");
	pg_json_open(&j, '[');
	for (size_t i = 0; i < now->away->count; i++)
		away_as_json(&j, &now->away->items[i]);
	pg_json_close(&j, ']');
	pg_json_close(&j, '}');
	pg_route_finish(a, &j);
}

static void away_as_protobuf(const struct pg_away_redirect *r, Podgraft__V1__Away *out)
{
	podgraft__v1__away__init(out);
	out->outgoing = r->direction == PG_OUTGOING;
	out->port = r->port;
	out->by = (char *)r->holder;
	out->since = r->since;
	out->away_since = r->away_since;
}

static void as_protobuf(const struct pg_identity *id, const struct pg_facts *now,
			struct pg_answer *a)
{
	uint8_t *at;
	Podgraft__V1__Away away[PG_AWAY_MAX], *list[PG_AWAY_MAX];
	Podgraft__V1__Info m = PODGRAFT__V1__INFO__INIT;
	m.version = (char *)id->version; /* packing only reads the texts */
	m.protocol = PG_PROTOCOL;
	m.pod_uid = (char *)id->pod_uid;
	m.container = (char *)id->container;
	m.profile = (char *)id->profile;
	m.sessions = (uint32_t)now->sessions;
	m.redirects = (uint32_t)now->redirects;
	m.mechanism = (char *)now->mechanism;
	m.connections = (uint32_t)now->connections;
	m.probes = now->probes;
	m.served = now->served;
	m.fallen_back = now->fallen_back;
	m.n_away = now->away->count;
	m.away = list;
	for (size_t i = 0; i < now->away->count; i++) {
		away_as_protobuf(&now->away->items[i], &away[i]);
		list[i] = &away[i];
	}
	if (pg_buf_reserve(&a->body, podgraft__v1__info__get_packed_size(&m), &at) < 0) {
		pg_route_refuse(a, 503, "out of memory", "try again");
		return;
	}
	pg_buf_added(&a->body, podgraft__v1__info__pack(&m, at));
	a->content_type = PG_PROTOBUF_TYPE;
}

void pg_route_info(struct pg_routes *r, const struct pg_request *rq, const struct pg_statement *st,
		   struct pg_answer *a)
{
	static const struct pg_away nobody;
	struct pg_facts now = { .mechanism = "", .away = &nobody };
	(void)st;
	if (r->events.info)
		r->events.info(r->ctx, &now);
	if (pg_route_wants_protobuf(rq))
		as_protobuf(&r->id, &now, a);
	else
		as_json(&r->id, &now, a);
}
