#pragma once
#include <stdint.h>

#include "proto/base/err.h"

/* A pair of ports in the direction of travel: "8080", "8080:3000", "http", "http:3000". Pure. */
struct pg_portspec {
	char name[16];  /* of the pod's port, "" when it is a number */
	uint16_t pod;   /* the pod's port; 0 when it is a name */
	uint16_t local; /* the port on the laptop; 0: the same as the pod's, known later */
};

/* Reads POD[:LOCAL]. -EINVAL, class PG_USER, with a hint; *out is untouched then. */
int pg_portspec_parse(const char *text, struct pg_portspec *out, struct pg_err *err);
