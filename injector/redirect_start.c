#include "injector/redirect_start.h"

/* What concerns outgoing redirects alone. */
static void fill_scope(struct pg_redirect_start *m, const struct pg_redirect_scope *scope)
{
	m->body.outgoing = true;
	m->body.only_uid = scope->only_uid;
	m->body.uid = scope->uid;
	for (size_t i = 0; i < scope->to_count; i++) {
		const struct pg_network *to = &scope->to[i];
		podgraft__v1__network__init(&m->networks[i]);
		m->networks[i].address.data = (uint8_t *)to->address;
		m->networks[i].address.len = pg_network_bytes(to);
		m->networks[i].prefix = to->prefix;
		m->list[i] = &m->networks[i];
	}
	m->body.to = m->list;
	m->body.n_to = scope->to_count;
}

/* A port that the kubelet probes: where from, and how. */
static void fill_probes(struct pg_redirect_start *m, const struct pg_pod_probes *probes)
{
	bool grpc;
	if (!pg_probes_read_first(probes, (uint16_t)m->body.port, &grpc))
		return;
	for (size_t i = 0; i < probes->node_count; i++) {
		m->nodes[i].data = (uint8_t *)probes->nodes[i].bytes;
		m->nodes[i].len = probes->nodes[i].length;
	}
	m->body.nodes = m->nodes;
	m->body.n_nodes = probes->node_count;
	m->body.grpc_probes = grpc;
}

void pg_redirect_start_fill(struct pg_redirect_start *out, uint32_t id,
			    const struct pg_redirect_want *want,
			    const struct pg_redirect_manner *manner)
{
	podgraft__v1__redirect_start__init(&out->body);
	out->body.redirect = id;
	out->body.port = want->pod_port;
	out->body.no_local = manner->no_local;
	out->body.no_fallback = manner->no_fallback;
	out->body.wire = manner->wire;
	out->body.owner = (char *)manner->owner;
	if (want->outgoing)
		fill_scope(out, manner->scope);
	else if (manner->probes)
		fill_probes(out, manner->probes);
	podgraft__v1__control__init(&out->msg);
	out->msg.body_case = PODGRAFT__V1__CONTROL__BODY_REDIRECT_START;
	out->msg.redirect_start = &out->body;
}
