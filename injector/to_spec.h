#pragma once
#include "proto/base/err.h"
#include "proto/io/network.h"

/* Whom outgoing connections are meant for, as a person names them with --to. Pure. */
enum pg_to_kind {
	PG_TO_NETWORK, /* 10.0.0.7, 10.0.0.0/8, fd00::/64 */
	PG_TO_SERVICE, /* svc/NAME, svc/NAME.NAMESPACE, NAME.NAMESPACE.svc[.cluster.local] */
	PG_TO_HOST,    /* db.example.com */
};

struct pg_to_spec {
	enum pg_to_kind kind;
	struct pg_network network;
	char name[254]; /* of the Service or host */
	char ns[64];    /* of the Service; "": the pod's */
};

/* -EINVAL, class PG_USER, with a hint; *out is untouched then. */
int pg_to_spec_parse(const char *text, struct pg_to_spec *out, struct pg_err *err);
