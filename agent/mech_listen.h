#pragma once
#include "agent/mech.h"

/* Opens the mechanism's listeners on a random port: nonblocking, close on exec. A family that the
 * pod lacks is left out; 0 as long as one is there. */
int pg_mech_listen(const struct pg_mech *mech, struct pg_listeners *out, struct pg_err *err);

void pg_mech_unlisten(struct pg_listeners *l);
