#include "injector/portspec.h"

#include <errno.h>
#include <string.h>

#include "proto/base/num.h"

/* What Kubernetes takes as the name of a container's port: RFC 6335 section 5.1, lower case. */
static bool is_port_name(const char *text, size_t n)
{
	bool has_letter = false;
	if (n == 0 || n > 15 || text[0] == '-' || text[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		bool letter = text[i] >= 'a' && text[i] <= 'z';
		bool digit = text[i] >= '0' && text[i] <= '9';
		if (!letter && !digit && (text[i] != '-' || text[i - 1] == '-'))
			return false;
		has_letter |= letter;
	}
	return has_letter;
}

static int refuse(const char *text, const char *what, struct pg_err *err)
{
	pg_fail(err, -EINVAL, "'%s': %s", text, what);
	return pg_hint(err, PG_USER,
		       "write POD or POD:LOCAL, for example 8080, 8080:3000 or http:3000");
}

int pg_portspec_parse(const char *text, struct pg_portspec *out, struct pg_err *err)
{
	struct pg_portspec spec = { .name = "" };
	size_t n = strcspn(text, ":");
	uint64_t port = 0;
	int rc = pg_parse_u64n(text, n, 1, UINT16_MAX, &port);
	if (rc == 0)
		spec.pod = spec.local = (uint16_t)port;
	else if (rc == -EINVAL && is_port_name(text, n))
		memcpy(spec.name, text, n);
	else
		return refuse(text, "the pod's port is neither 1 to 65535 nor a port's name", err);
	if (text[n] == ':') {
		if (pg_parse_u64(text + n + 1, 1, UINT16_MAX, &port) < 0)
			return refuse(text, "the local port is not 1 to 65535", err);
		spec.local = (uint16_t)port;
	}
	*out = spec;
	return 0;
}
