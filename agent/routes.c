#include "agent/routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/route.h"
#include "proto/base/auto.h"
#include "proto/base/mem.h"

enum { FREE = 0 }; /* no proof is asked for */

static const struct route {
	const char *method, *path;
	int purpose; /* enum pg_purpose, or FREE */
	pg_route *answer;
} routes[] = {
	{ "GET", "/v1/health", FREE, pg_route_health },
	{ "GET", "/v1/challenge", FREE, pg_route_challenge },
	{ "GET", "/v1/info", PG_PURPOSE_READ, pg_route_info },
	{ "GET", "/v1/processes", PG_PURPOSE_READ, pg_route_processes },
	{ "POST", "/v1/link", PG_PURPOSE_LINK, pg_route_link },
};

void pg_route_refuse(struct pg_answer *a, unsigned status, const char *error, const char *hint)
{
	pg_buf_fini(&a->body);
	struct pg_json j = pg_json(&a->body);
	pg_json_open(&j, '{');
	pg_json_member_str(&j, "error", error);
	pg_json_member_str(&j, "hint", hint);
	pg_json_close(&j, '}');
	a->status = status;
	a->content_type = NULL;
}

void pg_route_finish(struct pg_answer *a, const struct pg_json *j)
{
	if (pg_json_end(j) == 0)
		pg_buf_add_str(&a->body, "\n");
	else
		pg_route_refuse(a, 500, "the answer does not fit", "try again");
}

static void refuse_proof(struct pg_answer *a, const char *error, const char *hint)
{
	pg_route_refuse(a, 401, error, hint);
	a->header_name = "WWW-Authenticate";
	a->header_value = "Podgraft";
}

uint64_t pg_route_now_ms(const struct pg_routes *r)
{
	return pg_loop_now_ms(r->loop) - r->started_ms;
}

static void refuse_challenge(struct pg_answer *a)
{
	refuse_proof(a, "challenge used or expired",
		     "ask /v1/challenge for another; each works once, within 10 s");
}

/* Cheap checks come first; what is remembered comes last, when nobody but the user can have asked
 * for it. False with a refusal in `a`. */
static bool is_proved(struct pg_routes *r, const struct pg_statement *st,
		      const uint8_t sig[PG_SIG_BYTES], struct pg_answer *a)
{
	uint64_t now_ms = pg_route_now_ms(r);
	if (memcmp(st->laptop_key, r->id.laptop_key, PG_KEY_BYTES) != 0) {
		refuse_proof(a, "wrong key",
			     "this agent serves another user; graft one of your own");
		return false;
	}
	if (!pg_challenges_are_ours(&r->challenges, st->agent_nonce, now_ms)) {
		refuse_challenge(a);
		return false;
	}
	if (pg_statement_verify(st, PG_ROLE_LAPTOP, sig) < 0) {
		refuse_proof(
			a, "wrong signature",
			"sign for this agent, container and purpose, as /v1/challenge names them");
		return false;
	}
	int rc = pg_challenges_use(&r->challenges, st->agent_nonce, now_ms);
	if (rc == -EALREADY)
		refuse_challenge(a);
	else if (rc < 0)
		pg_route_refuse(a, 429, "too many proofs at once", "try again in 10 s");
	return rc == 0;
}

/* Fills what the laptop says of itself into `st`, which holds all that we know ourselves. False
 * with a refusal in `a` unless its signature fits. */
static bool has_proof(struct pg_routes *r, const struct pg_request *rq, struct pg_statement *st,
		      struct pg_answer *a)
{
	uint8_t sig[PG_SIG_BYTES];
	const char *value = rq->header(rq, "Authorization");
	if (value && pg_authz_parse(value, st, sig) == 0)
		return is_proved(r, st, sig, a);
	refuse_proof(a, value ? "malformed proof" : "proof needed",
		     "send the header that 'podgraft token TARGET' prints");
	return false;
}

static void set_string(char *out, size_t size, const char *text)
{
	size_t n = strnlen(text, size - 1);
	memcpy(out, text, n);
	out[n] = '\0';
}

/* The statement as far as it is ours to say. */
static void begin_statement(const struct pg_routes *r, enum pg_purpose purpose,
			    struct pg_statement *st)
{
	*st = (struct pg_statement){ .purpose = purpose };
	set_string(st->pod_uid, sizeof(st->pod_uid), r->id.pod_uid);
	set_string(st->container, sizeof(st->container), r->id.container);
	set_string(st->agent_version, sizeof(st->agent_version), r->id.version);
	memcpy(st->agent_key, r->id.keys.pub, PG_KEY_BYTES);
}

static void run_route(struct pg_routes *r, const struct route *route, const struct pg_request *rq,
		      struct pg_answer *a)
{
	struct pg_statement st;
	if (route->purpose != FREE) {
		begin_statement(r, (enum pg_purpose)route->purpose, &st);
		if (!has_proof(r, rq, &st, a))
			return;
	}
	a->status = 200;
	route->answer(r, rq, route->purpose == FREE ? NULL : &st, a);
}

/* HEAD is answered as GET; the server leaves the body out. */
static bool method_fits(const struct route *route, const char *method)
{
	return strcmp(method, route->method) == 0 ||
	       (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void on_request(void *ctx, const struct pg_request *rq, struct pg_answer *a)
{
	struct pg_routes *r = ctx;
	for (size_t i = 0; i < PG_LEN(routes); i++) {
		if (strcmp(rq->path, routes[i].path) != 0)
			continue;
		if (method_fits(&routes[i], rq->method)) {
			run_route(r, &routes[i], rq, a);
			return;
		}
		pg_route_refuse(a, 405, "method not allowed",
				strcmp(routes[i].method, "GET") == 0 ? "use GET" : "use POST");
		a->header_name = "Allow";
		a->header_value = routes[i].method;
		return;
	}
	pg_route_refuse(a, 404, "no such path",
			"there are /v1/health, /v1/challenge, /v1/info, /v1/processes, /v1/link");
}

int pg_routes_new(struct pg_loop *loop, const struct pg_identity *id,
		  const struct pg_routes_events *events, void *ctx, struct pg_routes **out,
		  struct pg_err *err)
{
	uint8_t challenge_key[PG_MAC_KEY_BYTES];
	struct pg_routes *r = pg_calloc(1, sizeof(*r));
	if (!r)
		return pg_fail(err, -ENOMEM, "start the control API");
	r->id = *id;
	r->events = *events;
	r->ctx = ctx;
	r->loop = loop;
	r->started_ms = pg_loop_now_ms(loop);
	pg_random(challenge_key, sizeof(challenge_key));
	pg_challenges_init(&r->challenges, challenge_key);
	int rc = pg_httpd_new(loop, on_request, r, &r->httpd, err);
	if (rc < 0)
		free(r);
	else
		*out = r;
	return rc;
}

uint16_t pg_routes_port(const struct pg_routes *r)
{
	return pg_httpd_port(r->httpd);
}

void pg_routes_close(struct pg_routes *r)
{
	pg_httpd_close(r->httpd);
	free(r);
}

bool pg_route_wants_protobuf(const struct pg_request *rq)
{
	const char *accept = rq->header(rq, "Accept");
	return accept && strstr(accept, PG_PROTOBUF_TYPE);
}
