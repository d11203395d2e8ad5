#include "agent/ports.h"

#include <string.h>

bool pg_listening_is_loopback(const struct pg_listening *l)
{
	static const uint8_t ipv6_loopback[16] = { [15] = 1 };
	if (l->family == 4)
		return l->address[0] == 127;
	return memcmp(l->address, ipv6_loopback, sizeof(ipv6_loopback)) == 0;
}
