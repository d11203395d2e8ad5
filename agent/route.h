#pragma once
#include "agent/challenge.h"
#include "agent/routes.h"
#include "proto/base/json_out.h"
#include "proto/wire/hello.h"

/* What the route_*.c files share; nobody else includes this. */

#define PG_UPGRADE       "podgraft/1"
#define PG_PROTOBUF_TYPE "application/x-protobuf"

struct pg_routes {
	struct pg_identity id;
	struct pg_routes_events events;
	void *ctx;
	struct pg_loop *loop;   /* borrowed */
	struct pg_httpd *httpd; /* ours */
	struct pg_challenges challenges;
	uint64_t started_ms;
};

/* A route fills `a`, whose status is 200 and whose body is empty. `st` is what the laptop has
 * proved, NULL on routes that are free. */
typedef void pg_route(struct pg_routes *r, const struct pg_request *rq,
		      const struct pg_statement *st, struct pg_answer *a);

pg_route pg_route_health, pg_route_challenge, pg_route_info, pg_route_processes, pg_route_link;

/* The time of challenges: since the start, so that they tell a stranger nothing of the node. */
uint64_t pg_route_now_ms(const struct pg_routes *r);

/* Makes `a` a refusal: {"error":...,"hint":...}. */
void pg_route_refuse(struct pg_answer *a, unsigned status, const char *error, const char *hint);

/* Ends the writing of an answer's body: a failed one becomes a refusal. */
void pg_route_finish(struct pg_answer *a, const struct pg_json *j);

/* Whether the answer is to be protobuf instead of JSON. */
bool pg_route_wants_protobuf(const struct pg_request *rq);
