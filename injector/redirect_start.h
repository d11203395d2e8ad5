#pragma once
#include "injector/redirect.h"

/* The message by which a redirect is started, or started again: all that it refers to is its own or
 * borrowed from `want` and `manner`. */
struct pg_redirect_start {
	Podgraft__V1__Control msg;
	Podgraft__V1__RedirectStart body;
	Podgraft__V1__Network networks[PG_NETWORKS_MAX];
	Podgraft__V1__Network *list[PG_NETWORKS_MAX];
	ProtobufCBinaryData nodes[PG_POD_NODES];
};

void pg_redirect_start_fill(struct pg_redirect_start *out, uint32_t id,
			    const struct pg_redirect_want *want,
			    const struct pg_redirect_manner *manner);
