#include "injector/kube_pod.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "injector/kube_json.h"
#include "injector/kube_probes.h"
#include "proto/base/buf.h"

#define DEFAULT_CONTAINER "kubectl.kubernetes.io/default-container"

static const json_t *condition(const json_t *pod, const char *type)
{
	return pg_json_find(pod, "status.conditions", "type", type);
}

/* The highest restart count among the status entries at `path`; of init containers only those that
 * are sidecars (restartPolicy Always). */
static int64_t max_restarts(const json_t *pod, const char *path, bool sidecars)
{
	const json_t *statuses = pg_json_at(pod, path);
	int64_t max = 0;
	for (size_t i = 0; i < json_array_size(statuses); i++) {
		const json_t *st = json_array_get(statuses, i);
		const json_t *spec =
			pg_json_find(pod, "spec.initContainers", "name", pg_json_str(st, "name"));
		if (sidecars && strcmp(pg_json_str(spec, "restartPolicy"), "Always") != 0)
			continue;
		int64_t n = pg_json_int(st, "restartCount", 0);
		max = n > max ? n : max;
	}
	return max;
}

void pg_kube_rank_read(const json_t *pod, struct pg_kube_rank *out)
{
	*out = (struct pg_kube_rank){ .phase = 0 };
	const char *phase = pg_json_str(pod, "status.phase");
	const json_t *ready = condition(pod, "Ready");
	out->assigned = pg_json_str(pod, "spec.nodeName")[0] != '\0';
	out->phase = strcmp(phase, "Running") == 0 ? 2 : strcmp(phase, "Unknown") == 0 ? 1 : 0;
	out->ready = strcmp(pg_json_str(ready, "status"), "True") == 0;
	pg_json_copy(ready, "lastTransitionTime", out->ready_since, sizeof(out->ready_since));
	pg_json_copy(pod, "metadata.deletionTimestamp", out->deleted, sizeof(out->deleted));
	pg_json_copy(pod, "metadata.creationTimestamp", out->created, sizeof(out->created));
	pg_json_copy(pod, "metadata.name", out->name, sizeof(out->name));
	out->restarts = max_restarts(pod, "status.containerStatuses", false);
	out->sidecar_restarts = max_restarts(pod, "status.initContainerStatuses", true);
}

/* The earlier time first, an absent one last. */
static int earlier_first(const char *a, const char *b)
{
	if (!a[0] || !b[0])
		return !a[0] - !b[0];
	return strcmp(a, b);
}

static int fewer_first(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

int pg_kube_rank_compare(const struct pg_kube_rank *a, const struct pg_kube_rank *b)
{
	bool a_goes = a->deleted[0] != '\0', b_goes = b->deleted[0] != '\0';
	int by;
	if (a->assigned != b->assigned)
		return a->assigned ? -1 : 1;
	if (a->phase != b->phase)
		return b->phase - a->phase;
	if (a->ready != b->ready)
		return a->ready ? -1 : 1;
	if (a_goes != b_goes)
		return a_goes ? 1 : -1;
	if (a_goes && (by = strcmp(b->deleted, a->deleted)) != 0)
		return by;
	if (a->ready && (by = earlier_first(a->ready_since, b->ready_since)) != 0)
		return by;
	if ((by = fewer_first(a->restarts, b->restarts)) != 0)
		return by;
	if ((by = fewer_first(a->sidecar_restarts, b->sidecar_restarts)) != 0)
		return by;
	if ((by = earlier_first(a->created, b->created)) != 0)
		return by;
	return strcmp(a->name, b->name);
}

enum pg_kube_life pg_kube_pod_life(const json_t *pod)
{
	const char *phase = pg_json_str(pod, "status.phase");
	if (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0)
		return PG_KUBE_FINISHED;
	if (pg_json_at(pod, "metadata.deletionTimestamp"))
		return PG_KUBE_DELETING;
	return pg_json_str(pod, "spec.nodeName")[0] ? PG_KUBE_LIVE : PG_KUBE_UNSCHEDULED;
}

/* Adds "name", "name (init)", ... to the list, as kubectl writes it; cut with "..." when full.
 * Ephemeral containers are left out: nothing can be done with them, and agents pile up there. */
static void list_names(const json_t *pod, const char *path, const char *suffix, char *list,
		       size_t room)
{
	const json_t *array = pg_json_at(pod, path);
	for (size_t i = 0; i < json_array_size(array); i++) {
		char name[PG_NAME_MAX + 1];
		size_t n = strlen(list);
		if (!pg_json_copy(json_array_get(array, i), "name", name, sizeof(name)))
			continue;
		if (n + strlen(name) + sizeof(", , ... (init)") > room) {
			snprintf(list + n, room - n, ", ...");
			return;
		}
		snprintf(list + n, room - n, "%s%s%s", n > 0 ? ", " : "", name, suffix);
	}
}

/* The spec of a container that can be worked on: a regular or an init one. */
static const json_t *find_container(const json_t *pod, const char *name)
{
	const json_t *c = pg_json_find(pod, "spec.containers", "name", name);
	return c ? c : pg_json_find(pod, "spec.initContainers", "name", name);
}

static int bad_pod(struct pg_err *err, const char *lacks)
{
	pg_fail(err, -EPROTO, "the server sent a pod without %s.", lacks);
	pg_hint(err, PG_CLUSTER, "is this an API server? try kubectl version");
	return -EPROTO;
}

static int choose_container(const json_t *pod, const char *named, struct pg_pod *out,
			    struct pg_err *err)
{
	const json_t *annotations = pg_json_at(pod, "metadata.annotations");
	const json_t *spec = NULL;
	if (named) {
		spec = find_container(pod, named);
		if (!spec) {
			pg_fail(err, -ENOENT, "pod '%s' has no container '%s', it has: %.300s.",
				out->name, named, out->container_list);
			return pg_hint(err, PG_TARGET, "name one of them with -c");
		}
	} else {
		const char *wish =
			json_string_value(json_object_get(annotations, DEFAULT_CONTAINER));
		spec = wish ? find_container(pod, wish) : NULL;
		if (!spec) {
			spec = json_array_get(pg_json_at(pod, "spec.containers"), 0);
			out->container_is_default = strchr(out->container_list, ',') != NULL;
		}
	}
	if (!pg_json_copy(spec, "name", out->container, sizeof(out->container)))
		return bad_pod(err, "container that we can name");
	return 0;
}

/* Adds the declared ports of one list of containers. */
static void read_ports(const json_t *containers, bool sidecars, struct pg_pod *out)
{
	for (size_t i = 0; i < json_array_size(containers); i++) {
		const json_t *c = json_array_get(containers, i);
		const json_t *ports = pg_json_at(c, "ports");
		if (sidecars && strcmp(pg_json_str(c, "restartPolicy"), "Always") != 0)
			continue;
		for (size_t k = 0; k < json_array_size(ports); k++) {
			const json_t *p = json_array_get(ports, k);
			int64_t number = pg_json_int(p, "containerPort", 0);
			const char *protocol = pg_json_str(p, "protocol");
			if (number < 1 || number > 65535 || out->port_count == PG_POD_PORTS)
				continue;
			struct pg_container_port *to = &out->ports[out->port_count++];
			pg_json_copy(c, "name", to->container, sizeof(to->container));
			pg_json_copy(p, "name", to->name, sizeof(to->name));
			to->port = (uint16_t)number;
			to->is_tcp = !protocol[0] || strcmp(protocol, "TCP") == 0;
		}
	}
}

int pg_kube_pod_read(const json_t *pod, const char *container, struct pg_pod *out,
		     struct pg_err *err)
{
	struct pg_pod p = { .host_network = pg_json_true(pod, "spec.hostNetwork") };
	if (!pg_json_copy(pod, "metadata.name", p.name, sizeof(p.name)) ||
	    !pg_json_copy(pod, "metadata.namespace", p.ns, sizeof(p.ns)) ||
	    !pg_json_copy(pod, "metadata.uid", p.uid, sizeof(p.uid)))
		return bad_pod(err, "name, namespace or uid");
	pg_json_copy(pod, "spec.nodeName", p.node, sizeof(p.node));
	list_names(pod, "spec.containers", "", p.container_list, sizeof(p.container_list));
	list_names(pod, "spec.initContainers", " (init)", p.container_list,
		   sizeof(p.container_list));
	int rc = choose_container(pod, container, &p, err);
	if (rc < 0)
		return rc;
	read_ports(pg_json_at(pod, "spec.containers"), false, &p);
	read_ports(pg_json_at(pod, "spec.initContainers"), true, &p);
	pg_kube_probes_read(pod, &p.probes);
	*out = p;
	return 0;
}

static uint16_t port_by_name(const struct pg_pod *pod, const char *name)
{
	for (size_t i = 0; i < pod->port_count; i++)
		if (strcmp(pod->ports[i].name, name) == 0)
			return pod->ports[i].port;
	return 0;
}

/* kubectl's LookupContainerPortNumberByServicePort. */
static uint16_t target_port(const json_t *service, const json_t *port, const struct pg_pod *pod)
{
	const json_t *target = pg_json_at(port, "targetPort");
	int64_t number = pg_json_int(port, "targetPort", 0);
	if (strcmp(pg_json_str(service, "spec.clusterIP"), "None") == 0)
		number = 0;
	else if (json_is_string(target))
		return port_by_name(pod, json_string_value(target));
	if (number == 0)
		number = pg_json_int(port, "port", 0);
	return number > 0 && number <= 65535 ? (uint16_t)number : 0;
}

void pg_kube_service_read(const json_t *service, struct pg_pod *out)
{
	const json_t *ports = pg_json_at(service, "spec.ports");
	for (size_t i = 0; i < json_array_size(ports); i++) {
		const json_t *p = json_array_get(ports, i);
		int64_t number = pg_json_int(p, "port", 0);
		const char *protocol = pg_json_str(p, "protocol");
		if (number < 1 || number > 65535 || out->service_port_count == PG_POD_PORTS ||
		    (protocol[0] && strcmp(protocol, "TCP") != 0))
			continue;
		size_t k = out->service_port_count++;
		out->service_ports[k].service_port = (uint16_t)number;
		out->service_ports[k].target_port = target_port(service, p, out);
		pg_json_copy(p, "name", out->service_ports[k].name,
			     sizeof(out->service_ports[k].name));
	}
}
