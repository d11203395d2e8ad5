#include "injector/to_resolve.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "injector/to_spec.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"

enum { RESOLVE_MS = 10000 };

/* One question to the resolver. It outlives its asker when that does not wait for the answer. */
struct question {
	uv_getaddrinfo_t request;
	bool done, abandoned;
	int code; /* of libuv */
	struct addrinfo *answer;
};

static void on_answer(uv_getaddrinfo_t *request, int code, struct addrinfo *answer)
{
	struct question *q = request->data;
	if (q->abandoned) {
		uv_freeaddrinfo(answer);
		free(q);
		return;
	}
	q->code = code;
	q->answer = answer;
	q->done = true;
}

/* What a pod sends there it sends to itself, which is never outgoing. */
static bool is_loopback(const struct pg_network *n)
{
	static const struct pg_network four = { .version = 4, .prefix = 8, .address = { 127 } };
	static const struct pg_network six = { .version = 6,
					       .prefix = 128,
					       .address = { [15] = 1 } };
	return pg_network_covers(&four, n) || pg_network_covers(&six, n);
}

static int add(struct pg_redirect_scope *scope, const struct pg_network *n, struct pg_err *err)
{
	char text[PG_NETWORK_TEXT];
	if (is_loopback(n)) {
		pg_network_text(n, text);
		pg_fail(err, -EINVAL, "--to: %s is the pod itself, not another", text);
		return pg_hint(err, PG_USER,
			       "what the pod sends to itself comes by its port: name that, "
			       "without --outgoing");
	}
	if (scope->to_count == PG_NETWORKS_MAX) {
		scope->to_count = pg_networks_tidy(scope->to, scope->to_count);
		if (scope->to_count == PG_NETWORKS_MAX) {
			pg_fail(err, -EINVAL, "--to names more than %d addresses", PG_NETWORKS_MAX);
			return pg_hint(err, PG_USER, "name a network that holds them");
		}
	}
	scope->to[scope->to_count++] = *n;
	return 0;
}

/* Adds what the resolver answered, and tells the person. */
static int add_answer(const char *host, const struct addrinfo *answer, struct pg_output *out,
		      struct pg_redirect_scope *scope, struct pg_err *err)
{
	char list[256] = "", text[PG_NETWORK_TEXT];
	for (const struct addrinfo *a = answer; a; a = a->ai_next) {
		struct sockaddr_storage address = { 0 };
		struct pg_network network;
		uint8_t bytes[16];
		uint16_t port;
		if (a->ai_addrlen > sizeof(address))
			continue;
		memcpy(&address, a->ai_addr, a->ai_addrlen);
		int n = pg_addr_bytes(&address, bytes, &port);
		if (n == 0)
			continue;
		pg_network_set(&network, bytes, (size_t)n, (unsigned)n * 8);
		int rc = add(scope, &network, err);
		if (rc < 0)
			return rc;
		pg_network_text(&network, text);
		size_t len = strlen(list);
		snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", text);
	}
	pg_output_info(out, "%s is %s, as this machine resolves it", host, list);
	return 0;
}

static int add_host(const struct pg_pod_job *job, const char *host, struct pg_redirect_scope *scope,
		    struct pg_err *err)
{
	struct pg_loop *loop = job->app->loop;
	struct pg_output *out = &job->app->out;
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct question *q = pg_calloc(1, sizeof(*q));
	if (!q)
		return pg_fail(err, -ENOMEM, "resolve '%s'", host);
	q->request.data = q;
	int rc = uv_getaddrinfo(pg_loop_uv(loop), &q->request, on_answer, host, NULL, &hints);
	if (rc < 0) {
		free(q);
		return pg_fail(err, rc, "resolve '%s'", host);
	}
	pg_output_status(out, "waiting for this machine's resolver: %s", host);
	rc = pg_loop_wait(loop, &q->done, pg_loop_now_ms(loop) + RESOLVE_MS);
	pg_output_status_clear(out);
	if (rc < 0) {
		q->abandoned = true;
		uv_cancel((uv_req_t *)&q->request);
		pg_fail(err, rc, "resolve '%s'", host);
		return pg_blame(err, PG_LOCAL);
	}
	if (q->code < 0) {
		pg_fail(err, -ENOENT, "this machine cannot resolve '%s': %s.", host,
			uv_strerror(q->code));
		pg_hint(err, PG_USER,
			"name its address or network, as in --to 10.0.0.7, or a Service, as in "
			"--to svc/NAME");
		rc = -ENOENT;
	} else {
		rc = add_answer(host, q->answer, out, scope, err);
	}
	uv_freeaddrinfo(q->answer);
	free(q);
	return rc;
}

/* Adds to a list of ports; one that does not fit is left out whole. */
static void list_port(char *list, size_t room, uint16_t port)
{
	char more[16];
	size_t len = strlen(list);
	int n = snprintf(more, sizeof(more), "%s%u", len > 0 ? ", " : "", port);
	if ((size_t)n < room - len)
		memcpy(list + len, more, (size_t)n + 1);
}

static bool has_port(const struct pg_service *service, uint16_t port)
{
	for (size_t i = 0; i < service->port_count; i++)
		if (service->ports[i] == port)
			return true;
	return false;
}

int pg_to_check_ports(const struct pg_service *service, const char *name,
		      const struct pg_wants *wants, struct pg_err *err)
{
	char wanted[64] = "", known[96] = "";
	if (!service->has_all_ports)
		return 0;
	for (size_t i = 0; i < wants->count; i++) {
		const struct pg_redirect_want *want = &wants->items[i];
		if (want->outgoing && has_port(service, want->pod_port))
			return 0;
		if (want->outgoing)
			list_port(wanted, sizeof(wanted), want->pod_port);
	}
	for (size_t i = 0; i < service->port_count; i++)
		list_port(known, sizeof(known), service->ports[i]);
	pg_fail(err, -ENOENT, "Service '%s' has no such port: %s.", name, wanted);
	if (!known[0])
		return pg_hint(err, PG_USER, "it has no port of TCP: name another with --to");
	return pg_hint(err, PG_USER, "name one of its own ports with --outgoing: %s", known);
}

static int add_service(const struct pg_pod_job *job, const struct pg_to_spec *spec,
		       const struct pg_wants *wants, struct pg_redirect_scope *scope,
		       struct pg_err *err)
{
	struct pg_service service;
	const char *ns = spec->ns[0] ? spec->ns : job->pod.ns;
	int rc = job->platform->ops->service(job->platform, ns, spec->name, &service, err);
	if (rc == 0)
		rc = pg_to_check_ports(&service, spec->name, wants, err);
	for (size_t i = 0; rc == 0 && i < service.count; i++)
		rc = add(scope, &service.addresses[i], err);
	return rc;
}

int pg_to_resolve(const struct pg_pod_job *job, const struct pg_opt_list *words,
		  const struct pg_wants *wants, struct pg_redirect_scope *scope, struct pg_err *err)
{
	for (size_t i = 0; i < words->count; i++) {
		struct pg_to_spec spec;
		int rc = pg_to_spec_parse(words->items[i], &spec, err);
		if (rc == 0 && spec.kind == PG_TO_NETWORK)
			rc = add(scope, &spec.network, err);
		else if (rc == 0 && spec.kind == PG_TO_SERVICE)
			rc = add_service(job, &spec, wants, scope, err);
		else if (rc == 0)
			rc = add_host(job, spec.name, scope, err);
		if (rc < 0)
			return rc;
	}
	scope->to_count = pg_networks_tidy(scope->to, scope->to_count);
	return 0;
}
