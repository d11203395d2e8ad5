#pragma once
#include "proto/base/err.h"

/* Which protocol both sides speak: the control API under /v1, the proof, the frames and messages of
 * the link (docs/protocol.md). It changes when an old side could no longer understand a new one;
 * additions that an old side may ignore do not change it. */
enum { PG_PROTOCOL = 1 };

/* Compares what an agent of version `their_version` says with what we speak. 0, or -EPROTO with a
 * message that says who must be renewed (PG_TARGET). */
int pg_hello_check(unsigned their_protocol, const char *their_version, struct pg_err *err);
