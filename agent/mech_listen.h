#pragma once
#include "agent/mech.h"

enum pg_listen_at {
	PG_LISTEN_EVERYWHERE,  /* on every address */
	PG_LISTEN_LOOPBACK,    /* on 127.0.0.1 and ::1 */
	PG_LISTEN_TRANSPARENT, /* there as well, for connections to any address (tproxy) */
};

/* Opens listeners on a random port: nonblocking, close on exec. A family that the pod lacks is left
 * out; 0 as long as one is there. */
int pg_mech_listen(enum pg_listen_at at, struct pg_listeners *out, struct pg_err *err);

void pg_mech_unlisten(struct pg_listeners *l);
