#pragma once
#include "proto/base/err.h"

/* What a command is pointed at, in kubectl's grammar: NAME, pod/NAME, deploy/NAME, ... Pure. */

enum pg_target_kind {
	PG_KIND_POD,
	PG_KIND_DEPLOYMENT,
	PG_KIND_STATEFULSET,
	PG_KIND_DAEMONSET,
	PG_KIND_REPLICASET,
	PG_KIND_REPLICATIONCONTROLLER,
	PG_KIND_JOB,
	PG_KIND_SERVICE,
	PG_KIND_COUNT
};

struct pg_target {
	enum pg_target_kind kind;
	char name[254]; /* a DNS-1123 subdomain */
};

/* Reads "NAME" or "TYPE/NAME", with kubectl's singular, plural and short types, in any case.
 * -EINVAL (PG_USER) with a hint when it is neither; *out is untouched then. */
int pg_target_parse(const char *text, struct pg_target *out, struct pg_err *err);

/* "pod", "deployment", ... */
const char *pg_target_kind_name(enum pg_target_kind kind);
