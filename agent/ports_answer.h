#pragma once
#include <stdint.h>

#include "proto/base/log.h"
#include "proto/io/link.h"

/* Answers a laptop's PortsRequest: the ports that something in the pod listens on, one entry per
 * port and family. */
void pg_ports_answer(struct pg_link *link, uint32_t request, const struct pg_log *log);
