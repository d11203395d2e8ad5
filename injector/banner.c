#include "injector/banner.h"

#include <errno.h>
#include <string.h>

#include "proto/base/num.h"

/* Moves *at past `text` when it stands there. */
static int skip(const char **at, const char *text)
{
	size_t n = strlen(text);
	if (strncmp(*at, text, n) != 0)
		return -EINVAL;
	*at += n;
	return 0;
}

/* The decimal number at *at, which ends before `end`; moves past it. */
static int number(const char **at, char end, uint64_t max, uint64_t *out)
{
	size_t n = strspn(*at, "0123456789");
	if (n == 0 || (*at)[0] == '0' || (*at)[n] != end)
		return -EINVAL;
	int rc = pg_parse_u64n(*at, n, 1, max, out);
	*at += n;
	return rc < 0 ? -EINVAL : 0;
}

int pg_banner_parse(const char *line, struct pg_banner *out)
{
	struct pg_banner b;
	const char *at = line;
	uint64_t version, port;
	if (skip(&at, "podgraft-agent/") < 0 || number(&at, ' ', 1000, &version) < 0)
		return -EINVAL;
	if (version != 1) {
		out->version = (unsigned)version;
		return -EPROTONOSUPPORT;
	}
	if (skip(&at, " listening on 127.0.0.1:") < 0 || number(&at, ' ', 65535, &port) < 0 ||
	    skip(&at, " key ") < 0 || pg_b64_decode(at, b.key, sizeof(b.key)) < 0)
		return -EINVAL;
	b.version = 1;
	b.port = (uint16_t)port;
	*out = b;
	return 0;
}
