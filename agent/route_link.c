#include "agent/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/base/auto.h"
#include "proto/base/mem.h"

/* A link between its answer and its first byte. */
struct pending {
	struct pg_routes *routes;
	uint8_t session[PG_SESSION_BYTES];
	char proof[PG_B64_SIG];
};

static void on_upgraded(void *ctx, int fd, const uint8_t *extra, size_t n)
{
	pg_auto_free struct pending *p = ctx;
	struct pg_routes *r = p->routes;
	if (fd >= 0)
		r->events.linked(r->ctx, fd, p->session, extra, n);
}

/* True when the comma-separated list `value` holds `token`, in any case (RFC 9110 5.6.1). */
static bool lists_token(const char *value, const char *token)
{
	size_t len = strlen(token);
	while (*value) {
		value += strspn(value, " \t,");
		size_t n = strcspn(value, " \t,");
		if (n == len && strncasecmp(value, token, n) == 0)
			return true;
		value += n;
	}
	return false;
}

static bool asks_for_upgrade(const struct pg_request *rq)
{
	const char *connection = rq->header(rq, "Connection");
	const char *upgrade = rq->header(rq, "Upgrade");
	return connection && upgrade && lists_token(connection, "upgrade") &&
	       lists_token(upgrade, PG_UPGRADE);
}

void pg_route_link(struct pg_routes *r, const struct pg_request *rq, const struct pg_statement *st,
		   struct pg_answer *a)
{
	uint8_t sig[PG_SIG_BYTES];
	if (!asks_for_upgrade(rq)) {
		pg_route_refuse(a, 426, "upgrade needed",
				"send Connection: Upgrade and Upgrade: " PG_UPGRADE);
		a->header_name = "Upgrade";
		a->header_value = PG_UPGRADE;
		return;
	}
	if (r->events.has_room && !r->events.has_room(r->ctx, st->session)) {
		pg_route_refuse(a, 503, "the agent has no room for one more link",
				"end another podgraft of yours; for more room end all with "
				"podgraft undo, and start with more --memory");
		return;
	}
	struct pending *p = pg_calloc(1, sizeof(*p));
	if (!p) {
		pg_route_refuse(a, 503, "out of memory", "try again");
		return;
	}
	p->routes = r;
	memcpy(p->session, st->session, PG_SESSION_BYTES);
	pg_statement_sign(st, PG_ROLE_AGENT, &r->id.keys, sig);
	pg_b64_encode(sig, sizeof(sig), p->proof);
	a->status = 101;
	a->header_name = "Podgraft-Proof";
	a->header_value = p->proof;
	a->upgrade_to = PG_UPGRADE;
	a->upgraded = on_upgraded;
	a->upgraded_ctx = p;
}
