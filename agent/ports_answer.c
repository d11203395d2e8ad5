#include "agent/ports_answer.h"

#include <netinet/in.h>

#include "agent/ports.h"
#include "proto/base/auto.h"
#include "proto/base/mem.h"

enum { LISTENING_MAX = 4096 };

void pg_ports_answer(struct pg_link *link, uint32_t request, const struct pg_log *log)
{
	pg_auto_free struct pg_listening *found = pg_calloc(LISTENING_MAX, sizeof(*found));
	pg_auto_free Podgraft__V1__Port *ports = pg_calloc(PG_PORTS_MAX, sizeof(*ports));
	pg_auto_free Podgraft__V1__Port **list = pg_calloc(PG_PORTS_MAX, sizeof(*list));
	Podgraft__V1__Ports answer = PODGRAFT__V1__PORTS__INIT;
	Podgraft__V1__Control msg = PODGRAFT__V1__CONTROL__INIT;
	struct pg_err err = { 0 };
	size_t count = 0;
	if (!found || !ports || !list)
		return;
	if (pg_ports_list(found, LISTENING_MAX, &count, &err) < 0)
		pg_log(log, PG_ERROR, "list listening sockets: %s", err.what);
	for (size_t i = 0; i < count && answer.n_ports < PG_PORTS_MAX; i++) {
		if (found[i].protocol != IPPROTO_TCP || found[i].port == 0)
			continue;
		Podgraft__V1__Port *port = &ports[answer.n_ports];
		podgraft__v1__port__init(port);
		port->port = found[i].port;
		port->family = found[i].family;
		port->loopback = pg_listening_is_loopback(&found[i]);
		list[answer.n_ports++] = port;
	}
	answer.ports = list;
	msg.request = request;
	msg.body_case = PODGRAFT__V1__CONTROL__BODY_PORTS;
	msg.ports = &answer;
	if (pg_link_send(link, &msg) < 0)
		pg_log(log, PG_ERROR, "no memory to answer a laptop");
}
