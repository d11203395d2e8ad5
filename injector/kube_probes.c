#include "injector/kube_probes.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "injector/kube_json.h"
#include "proto/base/mem.h"
#include "proto/base/num.h"

/* A port by number, by a name of the container's, or by a number in a string; 0: there is none. */
static uint16_t port_of(const json_t *container, const json_t *how)
{
	const char *name = pg_json_str(how, "port");
	const json_t *named = pg_json_find(container, "ports", "name", name);
	int64_t number = pg_json_int(how, "port", 0);
	uint64_t digits;
	if (named)
		number = pg_json_int(named, "containerPort", 0);
	else if (pg_parse_u64(name, 1, UINT16_MAX, &digits) == 0)
		number = (int64_t)digits;
	return number >= 1 && number <= UINT16_MAX ? (uint16_t)number : 0;
}

static enum pg_probe_kind http_kind(const json_t *how)
{
	const json_t *headers = pg_json_at(how, "httpHeaders");
	if (strcmp(pg_json_str(how, "scheme"), "HTTPS") == 0)
		return PG_PROBE_HTTPS;
	for (size_t i = 0; i < json_array_size(headers); i++)
		if (strcasecmp(pg_json_str(json_array_get(headers, i), "name"), "User-Agent") == 0)
			return PG_PROBE_HTTP_DISGUISED;
	return PG_PROBE_HTTP;
}

/* The words of a command, with spaces between them. */
static void join(const json_t *words, char *out, size_t room)
{
	size_t n = 0;
	out[0] = '\0';
	for (size_t i = 0; i < json_array_size(words) && n < room; i++) {
		const char *word = json_string_value(json_array_get(words, i));
		n += (size_t)snprintf(out + n, room - n, "%s%s", i ? " " : "", word ? word : "");
	}
}

/* One probe, if it is of a kind that matters: a bare TCP connection is answered whoever takes it,
 * and one to another host does not come here. */
static bool read_probe(const json_t *container, const json_t *probe, struct pg_pod_probe *out)
{
	const json_t *http = pg_json_at(probe, "httpGet"), *grpc = pg_json_at(probe, "grpc");
	const json_t *command = pg_json_at(probe, "exec.command");
	if (http && pg_json_str(http, "host")[0])
		return false;
	if (http || grpc) {
		out->kind = http ? http_kind(http) : PG_PROBE_GRPC;
		out->port = port_of(container, http ? http : grpc);
		return out->port != 0;
	}
	out->kind = PG_PROBE_EXEC;
	join(command, out->command, sizeof(out->command));
	return command != NULL;
}

static void read_container(const json_t *container, struct pg_pod_probes *out)
{
	static const struct {
		const char *path, *what;
	} kinds[] = { { "livenessProbe", "liveness" },
		      { "readinessProbe", "readiness" },
		      { "startupProbe", "startup" } };
	for (size_t i = 0; i < PG_LEN(kinds); i++) {
		struct pg_pod_probe p = { .what = kinds[i].what };
		const json_t *probe = pg_json_at(container, kinds[i].path);
		if (!probe || out->count == PG_POD_PROBES ||
		    !pg_json_copy(container, "name", p.container, sizeof(p.container)) ||
		    !read_probe(container, probe, &p))
			continue;
		out->items[out->count++] = p;
	}
}

static void read_node(const char *text, struct pg_pod_probes *out)
{
	uint8_t bytes[16];
	int length = inet_pton(AF_INET, text, bytes) == 1    ? 4
		     : inet_pton(AF_INET6, text, bytes) == 1 ? 16
							     : 0;
	if (length == 0 || out->node_count == PG_POD_NODES)
		return;
	memcpy(out->nodes[out->node_count].bytes, bytes, (size_t)length);
	out->nodes[out->node_count++].length = (uint8_t)length;
}

void pg_kube_probes_read(const json_t *pod, struct pg_pod_probes *out)
{
	const json_t *containers = pg_json_at(pod, "spec.containers");
	const json_t *init = pg_json_at(pod, "spec.initContainers");
	const json_t *addresses = pg_json_at(pod, "status.hostIPs");
	*out = (struct pg_pod_probes){ .count = 0 };
	for (size_t i = 0; i < json_array_size(containers); i++)
		read_container(json_array_get(containers, i), out);
	for (size_t i = 0; i < json_array_size(init); i++)
		if (strcmp(pg_json_str(json_array_get(init, i), "restartPolicy"), "Always") == 0)
			read_container(json_array_get(init, i), out);
	for (size_t i = 0; i < json_array_size(addresses); i++)
		read_node(pg_json_str(json_array_get(addresses, i), "ip"), out);
	if (out->node_count == 0) /* before Kubernetes 1.30 */
		read_node(pg_json_str(pod, "status.hostIP"), out);
}
