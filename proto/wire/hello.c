#include "proto/wire/hello.h"

#include <errno.h>

int pg_hello_check(unsigned their_protocol, const char *their_version, struct pg_err *err)
{
	if (their_protocol == PG_PROTOCOL)
		return 0;
	pg_fail(err, -EPROTO, "the agent %s speaks protocol %u, this podgraft %s speaks %d",
		their_version, their_protocol, PG_VERSION, PG_PROTOCOL);
	if (their_protocol > PG_PROTOCOL)
		return pg_hint(err, PG_TARGET, "install podgraft %s", their_version);
	return pg_hint(err, PG_TARGET,
		       "name a newer agent with --image; a new one is grafted then");
}
