#include "injector/pod_probes.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/mem.h"

bool pg_probes_read_first(const struct pg_pod_probes *probes, uint16_t port, bool *grpc_out)
{
	bool any = false, grpc = false;
	for (size_t i = 0; i < probes->count; i++) {
		const struct pg_pod_probe *p = &probes->items[i];
		if (p->port != port)
			continue;
		any = any || p->kind == PG_PROBE_HTTP || p->kind == PG_PROBE_GRPC;
		grpc = grpc || p->kind == PG_PROBE_GRPC;
	}
	*grpc_out = grpc;
	return any;
}

/* Whether the number stands alone in the text. */
static bool names_port(const char *text, uint16_t port)
{
	char digits[8];
	size_t n = (size_t)snprintf(digits, sizeof(digits), "%u", port);
	for (const char *at = text; (at = strstr(at, digits)); at++)
		if ((at == text || !isdigit((unsigned char)at[-1])) &&
		    !isdigit((unsigned char)at[n]))
			return true;
	return false;
}

static bool dials_itself(const char *command)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "::1" };
	for (size_t i = 0; i < PG_LEN(names); i++)
		if (strstr(command, names[i]))
			return true;
	return false;
}

bool pg_probe_warning(const struct pg_pod_probe *p, uint16_t port, const char *local, bool no_local,
		      char *out, size_t room)
{
	bool is_exec = p->kind == PG_PROBE_EXEC;
	if (is_exec && (no_local || !names_port(p->command, port) || !dials_itself(p->command)))
		return false;
	if (!is_exec && (p->port != port || p->kind == PG_PROBE_HTTP || p->kind == PG_PROBE_GRPC))
		return false;
	int n = snprintf(out, room, "port %u: the %s probe of container '%s' will reach %s: ", port,
			 p->what, p->container, local);
	if (n < 0 || (size_t)n >= room)
		return false;
	snprintf(
		out + n, room - (size_t)n, "%s",
		is_exec ? "its command dials localhost; --no-local leaves it to the app"
		: p->kind == PG_PROBE_HTTPS
			? "it is https, which cannot be told from other connections"
			: "it sets a User-Agent of its own, so that it cannot be told from others");
	return true;
}
