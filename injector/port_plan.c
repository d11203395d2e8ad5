#include "injector/port_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Listening ports of Istio's and Linkerd's proxies: theirs to keep. */
static const uint16_t mesh_ports[] = { 4140,  4143,  4190,  4191,  15000, 15001, 15004,
				       15006, 15008, 15020, 15021, 15053, 15090 };

/* The Service's ports as "80 (http), 443" for a hint. */
static void list_service_ports(const struct pg_pod *pod, char *out, size_t room)
{
	out[0] = '\0';
	for (size_t i = 0; i < pod->service_port_count; i++) {
		size_t n = strlen(out);
		const char *name = pod->service_ports[i].name;
		snprintf(out + n, room - n, "%s%u%s%s%s", i ? ", " : "",
			 pod->service_ports[i].service_port, name[0] ? " (" : "", name,
			 name[0] ? ")" : "");
	}
}

static int resolve_service(const struct pg_pod *pod, const struct pg_portspec *spec, uint16_t *port,
			   struct pg_err *err)
{
	char known[160];
	for (size_t i = 0; i < pod->service_port_count; i++) {
		bool same = spec->name[0] ? strcmp(pod->service_ports[i].name, spec->name) == 0
					  : pod->service_ports[i].service_port == spec->pod;
		if (!same)
			continue;
		*port = pod->service_ports[i].target_port;
		if (*port != 0)
			return 0;
		pg_fail(err, -ENOENT,
			"the Service's port %u goes to a named port that pod '%s' has not.",
			pod->service_ports[i].service_port, pod->name);
		return pg_hint(err, PG_USER,
			       "name the pod and its port instead: podgraft redirect %s PORT",
			       pod->name);
	}
	if (spec->name[0])
		pg_fail(err, -ENOENT, "the Service has no port '%s'.", spec->name);
	else
		pg_fail(err, -ENOENT, "the Service has no port %u.", spec->pod);
	list_service_ports(pod, known, sizeof(known));
	return pg_hint(err, PG_USER, "its ports: %s", known);
}

static int resolve_name(const struct pg_pod *pod, const char *name, uint16_t *port,
			struct pg_err *err)
{
	char known[160] = "";
	for (size_t i = 0; i < pod->port_count; i++) {
		if (strcmp(pod->ports[i].name, name) == 0) {
			*port = pod->ports[i].port;
			return 0;
		}
		size_t n = strlen(known);
		if (pod->ports[i].name[0])
			snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "",
				 pod->ports[i].name);
	}
	pg_fail(err, -ENOENT, "pod '%s' declares no port named '%s'.", pod->name, name);
	return pg_hint(err, PG_USER, known[0] ? "its named ports: %s" : "use the port's number%s",
		       known);
}

int pg_port_pair_resolve(const struct pg_pod *pod, const struct pg_portspec *spec,
			 struct pg_port_pair *out, struct pg_err *err)
{
	uint16_t port = spec->pod;
	int rc = 0;
	if (pod->service_port_count > 0)
		rc = resolve_service(pod, spec, &port, err);
	else if (spec->name[0])
		rc = resolve_name(pod, spec->name, &port, err);
	if (rc < 0)
		return rc;
	/* Without a local port: the number that the person wrote, else the one that a name means.
	 */
	uint16_t local = spec->local ? spec->local : spec->pod ? spec->pod : port;
	*out = (struct pg_port_pair){ .pod = port, .local = local };
	return 0;
}

static bool is_mesh_port(uint16_t port)
{
	for (size_t i = 0; i < PG_LEN(mesh_ports); i++)
		if (mesh_ports[i] == port)
			return true;
	return false;
}

static bool is_of_another(const struct pg_pod *pod, const char *container, uint16_t port)
{
	bool others = false;
	for (size_t i = 0; i < pod->port_count; i++) {
		if (pod->ports[i].port != port)
			continue;
		if (strcmp(pod->ports[i].container, container) == 0)
			return false;
		others = true;
	}
	return others;
}

static int by_port(const void *a, const void *b)
{
	const struct pg_port_pair *x = a, *y = b;
	return x->pod - y->pod;
}

size_t pg_port_pairs_all(const struct pg_pod *pod, const char *container,
			 const struct pg_listens *listens, size_t count,
			 struct pg_port_pair out[PG_PAIRS_MAX])
{
	size_t n = 0;
	for (size_t i = 0; i < count && n < PG_PAIRS_MAX; i++) {
		uint16_t port = listens[i].port;
		bool known = false;
		for (size_t k = 0; k < n; k++)
			known = known || out[k].pod == port;
		if (known || listens[i].loopback || is_mesh_port(port) ||
		    (container && is_of_another(pod, container, port)))
			continue;
		out[n++] = (struct pg_port_pair){ port, port };
	}
	qsort(out, n, sizeof(out[0]), by_port);
	return n;
}
