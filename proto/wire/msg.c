#include "proto/wire/msg.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/utf8.h"
#include "proto/wire/frame.h"

enum { ERRNO_MAX = 4095 }; /* as the kernel bounds it */

/* Allocation for protobuf-c, which tells "out of memory" and "no such message" apart for us. */
static void *counted_alloc(void *ctx, size_t n)
{
	bool *out_of_memory = ctx;
	void *p = pg_calloc(n ? n : 1, 1);
	if (!p)
		*out_of_memory = true;
	return p;
}

static void counted_free(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

/* NULL with *rc set, and *why, when there is no such message in the bytes. */
static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *type, const uint8_t *p, size_t n,
				size_t cap, int *rc, const char **why)
{
	bool out_of_memory = false;
	ProtobufCAllocator allocator = { counted_alloc, counted_free, &out_of_memory };
	if (n > cap) {
		*why = "size";
		*rc = -EMSGSIZE;
		return NULL;
	}
	ProtobufCMessage *m = protobuf_c_message_unpack(type, &allocator, n, p);
	if (!m) {
		*why = out_of_memory ? "memory" : "encoding";
		*rc = out_of_memory ? -ENOMEM : -EPROTO;
	}
	return m;
}

static int pack(const ProtobufCMessage *m, uint8_t *buf, size_t cap)
{
	if (protobuf_c_message_get_packed_size(m) > cap)
		return -ENOBUFS;
	return (int)protobuf_c_message_pack(m, buf);
}

static bool is_id(uint32_t id)
{
	return id >= 1 && id <= INT32_MAX;
}

static bool is_port(uint32_t port)
{
	return port >= 1 && port <= UINT16_MAX;
}

static bool is_address(const ProtobufCBinaryData *a)
{
	return a->len == 4 || a->len == 16;
}

static bool is_text(const char *text, size_t max)
{
	return strlen(text) <= max && pg_utf8_is_plain(text);
}

static bool is_network(const Podgraft__V1__Network *m)
{
	return is_address(&m->address) && m->prefix <= m->address.len * 8;
}

/* The checks: NULL, or the name of the first bad field. */

static const char *bad_start(const Podgraft__V1__RedirectStart *m)
{
	if (!is_id(m->redirect))
		return "redirect_start.redirect";
	if (!is_port(m->port))
		return "redirect_start.port";
	if (!is_text(m->owner, PG_OWNER_MAX))
		return "redirect_start.owner";
	if (m->n_to > PG_NETWORKS_MAX)
		return "redirect_start.to";
	for (size_t i = 0; i < m->n_to; i++)
		if (!is_network(m->to[i]))
			return "redirect_start.to";
	if (m->n_nodes > PG_NODES_MAX)
		return "redirect_start.nodes";
	for (size_t i = 0; i < m->n_nodes; i++)
		if (!is_address(&m->nodes[i]))
			return "redirect_start.nodes";
	return NULL;
}

static const char *bad_status(const Podgraft__V1__RedirectStatus *m)
{
	if (!is_id(m->redirect))
		return "redirect_status.redirect";
	if (m->state < PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_ARMED ||
	    m->state > PODGRAFT__V1__REDIRECT_STATE__REDIRECT_STATE_TAKEN)
		return "redirect_status.state";
	if (m->code < 0 || m->code > ERRNO_MAX)
		return "redirect_status.code";
	if (!is_text(m->text, PG_TEXT_MAX))
		return "redirect_status.text";
	if (!is_text(m->hint, PG_TEXT_MAX))
		return "redirect_status.hint";
	return is_text(m->holder, PG_OWNER_MAX) ? NULL : "redirect_status.holder";
}

static const char *bad_ports(const Podgraft__V1__Ports *m)
{
	if (m->n_ports > PG_PORTS_MAX)
		return "ports.ports";
	for (size_t i = 0; i < m->n_ports; i++) {
		if (!is_port(m->ports[i]->port))
			return "ports.port";
		if (m->ports[i]->family != 4 && m->ports[i]->family != 6)
			return "ports.family";
	}
	return NULL;
}

static const char *bad_control(const Podgraft__V1__Control *m)
{
	if (m->request == 0 && m->body_case != PODGRAFT__V1__CONTROL__BODY_REDIRECT_STATUS &&
	    m->body_case != PODGRAFT__V1__CONTROL__BODY_REDIRECT_COUNTS &&
	    m->body_case != PODGRAFT__V1__CONTROL__BODY_UNDONE)
		return "request";
	switch (m->body_case) {
	case PODGRAFT__V1__CONTROL__BODY_REDIRECT_START:
		return bad_start(m->redirect_start);
	case PODGRAFT__V1__CONTROL__BODY_REDIRECT_STOP:
		return is_id(m->redirect_stop->redirect) ? NULL : "redirect_stop.redirect";
	case PODGRAFT__V1__CONTROL__BODY_REDIRECT_STATUS:
		return bad_status(m->redirect_status);
	case PODGRAFT__V1__CONTROL__BODY_REDIRECT_COUNTS:
		return is_id(m->redirect_counts->redirect) ? NULL : "redirect_counts.redirect";
	case PODGRAFT__V1__CONTROL__BODY_PORTS:
		return bad_ports(m->ports);
	case PODGRAFT__V1__CONTROL__BODY_UNDO:
		return is_text(m->undo->by, PG_OWNER_MAX) ? NULL : "undo.by";
	case PODGRAFT__V1__CONTROL__BODY_UNDONE:
		return is_text(m->undone->by, PG_OWNER_MAX) ? NULL : "undone.by";
	case PODGRAFT__V1__CONTROL__BODY_PORTS_REQUEST:
	case PODGRAFT__V1__CONTROL__BODY_GOODBYE:
	case PODGRAFT__V1__CONTROL__BODY_LANE_REST:
		return NULL;
	default:
		return "body";
	}
}

static const char *bad_open(const Podgraft__V1__Open *m)
{
	if (!is_id(m->redirect))
		return "redirect";
	if (!is_address(&m->peer_address))
		return "peer_address";
	if (!is_port(m->peer_port))
		return "peer_port";
	if (!is_address(&m->local_address))
		return "local_address";
	return is_port(m->local_port) ? NULL : "local_port";
}

/* 0 when no field is bad. */
static int verdict(const char *field, const char **why)
{
	if (field)
		*why = field;
	return field ? -EPROTO : 0;
}

int pg_msg_unpack(const uint8_t *p, size_t n, Podgraft__V1__Control **out, const char **why)
{
	const char *unused;
	int rc;
	why = why ? why : &unused;
	Podgraft__V1__Control *m = (Podgraft__V1__Control *)unpack(
		&podgraft__v1__control__descriptor, p, n, PG_FRAME_MAX, &rc, why);
	if (!m)
		return rc;
	rc = verdict(bad_control(m), why);
	if (rc < 0)
		pg_msg_free(m);
	else
		*out = m;
	return rc;
}

void pg_msg_free(Podgraft__V1__Control *m)
{
	if (m)
		podgraft__v1__control__free_unpacked(m, NULL);
}

int pg_open_unpack(const uint8_t *p, size_t n, Podgraft__V1__Open **out, const char **why)
{
	const char *unused;
	int rc;
	why = why ? why : &unused;
	Podgraft__V1__Open *m = (Podgraft__V1__Open *)unpack(&podgraft__v1__open__descriptor, p, n,
							     PG_OPEN_MAX, &rc, why);
	if (!m)
		return rc;
	rc = verdict(bad_open(m), why);
	if (rc < 0)
		pg_open_free(m);
	else
		*out = m;
	return rc;
}

void pg_open_free(Podgraft__V1__Open *m)
{
	if (m)
		podgraft__v1__open__free_unpacked(m, NULL);
}

int pg_msg_pack(const Podgraft__V1__Control *m, uint8_t *buf, size_t cap)
{
	return pack(&m->base, buf, cap);
}

int pg_open_pack(const Podgraft__V1__Open *m, uint8_t *buf, size_t cap)
{
	return pack(&m->base, buf, cap);
}
