#include "injector/wants.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/io/sock.h"

/* Where connections of `pair` go on this machine. */
static int local_of(const char *address, uint16_t port, struct sockaddr_storage *out,
		    struct pg_err *err)
{
	uint8_t bytes[16];
	const char *text = strcmp(address, "localhost") == 0 ? "127.0.0.1" : address;
	int n = inet_pton(AF_INET, text, bytes) == 1    ? 4
		: inet_pton(AF_INET6, text, bytes) == 1 ? 16
							: 0;
	if (n == 0) {
		pg_fail(err, -EINVAL, "--local-address '%s' is no IP address", address);
		return pg_hint(err, PG_USER, "for example 127.0.0.1, ::1 or localhost");
	}
	pg_addr_set(out, bytes, n, port);
	return 0;
}

static int add_want(struct pg_wants *w, const char *address, const struct pg_port_pair *pair,
		    bool outgoing, struct pg_err *err)
{
	for (size_t i = 0; i < w->count; i++) {
		if (w->items[i].pod_port == pair->pod && w->items[i].outgoing == outgoing) {
			pg_fail(err, -EINVAL, "%sport %u %sis named twice",
				outgoing ? "outgoing " : "", pair->pod,
				outgoing ? "" : "of the pod ");
			return pg_hint(err, PG_USER, "a port can go to one place only");
		}
	}
	if (w->count == PG_PAIRS_MAX) {
		pg_fail(err, -EINVAL, "more than %d ports", PG_PAIRS_MAX);
		return pg_hint(err, PG_USER, "redirect fewer ports at once");
	}
	struct pg_redirect_want want = { .outgoing = outgoing, .pod_port = pair->pod };
	int rc = local_of(address, pair->local, &want.local, err);
	if (rc == 0)
		w->items[w->count++] = want;
	return rc;
}

int pg_wants_named(const struct pg_pod *pod, const char *local_address, char **words, int count,
		   struct pg_wants *out, struct pg_err *err)
{
	for (int i = 0; i < count; i++) {
		struct pg_portspec spec;
		struct pg_port_pair pair;
		int rc = pg_portspec_parse(words[i], &spec, err);
		if (rc == 0)
			rc = pg_port_pair_resolve(pod, &spec, &pair, err);
		if (rc == 0)
			rc = add_want(out, local_address, &pair, false, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int pg_wants_outgoing(const char *local_address, const struct pg_opt_list *words,
		      struct pg_wants *out, struct pg_err *err)
{
	for (size_t i = 0; i < words->count; i++) {
		struct pg_portspec spec;
		int rc = pg_portspec_parse(words->items[i], &spec, err);
		if (rc < 0)
			return rc;
		if (spec.name[0]) {
			pg_fail(err, -EINVAL, "--outgoing '%s': the port has no number",
				words->items[i]);
			return pg_hint(err, PG_USER,
				       "write PORT or PORT:LOCAL, for example 5432 or 5432:15432");
		}
		struct pg_port_pair pair = { .pod = spec.pod, .local = spec.local };
		rc = add_want(out, local_address, &pair, true, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* What the agent sees listening; `listens` has room for PG_PORTS_MAX. */
static int ask_listening(struct pg_tunnel *tunnel, struct pg_listens *listens, size_t *count_out,
			 struct pg_err *err)
{
	Podgraft__V1__PortsRequest request = PODGRAFT__V1__PORTS_REQUEST__INIT;
	Podgraft__V1__Control question = PODGRAFT__V1__CONTROL__INIT, *answer;
	question.body_case = PODGRAFT__V1__CONTROL__BODY_PORTS_REQUEST;
	question.ports_request = &request;
	int rc = pg_tunnel_ask(tunnel, &question, &answer, err);
	if (rc < 0)
		return rc;
	*count_out = 0;
	if (answer->body_case == PODGRAFT__V1__CONTROL__BODY_PORTS)
		for (size_t i = 0; i < answer->ports->n_ports && i < PG_PORTS_MAX; i++)
			listens[(*count_out)++] =
				(struct pg_listens){ (uint16_t)answer->ports->ports[i]->port,
						     answer->ports->ports[i]->loopback };
	pg_msg_free(answer);
	return 0;
}

static bool listens_beyond_loopback(const struct pg_listens *listens, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!listens[i].loopback)
			return true;
	return false;
}

int pg_wants_all(const struct pg_pod *pod, const char *local_address, const char *container,
		 struct pg_tunnel *tunnel, struct pg_wants *out, struct pg_err *err)
{
	pg_auto_free struct pg_listens *listens = pg_calloc(PG_PORTS_MAX, sizeof(*listens));
	struct pg_port_pair pairs[PG_PAIRS_MAX];
	size_t count = 0;
	if (!listens)
		return pg_fail(err, -ENOMEM, "list the pod's ports");
	int rc = ask_listening(tunnel, listens, &count, err);
	if (rc < 0)
		return rc;
	size_t n = pg_port_pairs_all(pod, container, listens, count, pairs);
	if (n == 0) {
		if (listens_beyond_loopback(listens, count))
			pg_fail(err, -ENOENT,
				"pod '%s' listens on ports of other containers or a mesh's proxy "
				"only.",
				pod->name);
		else
			pg_fail(err, -ENOENT, "nothing in pod '%s' listens beyond loopback.",
				pod->name);
		return pg_hint(err, PG_TARGET, "name a port: podgraft redirect %s PORT[:LOCAL]",
			       pod->name);
	}
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = add_want(out, local_address, &pairs[i], false, err);
	return rc;
}
