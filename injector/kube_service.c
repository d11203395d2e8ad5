#include "injector/kube_service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "injector/kube_json.h"
#include "proto/base/mem.h"

/* What an address is not: "" while none is given, "None" for a headless Service. */
static void add_address(const char *text, struct pg_service *out)
{
	if (out->count < PG_SERVICE_ADDRESSES &&
	    pg_network_parse(text, &out->addresses[out->count]) == 0)
		out->count++;
}

static void add_port(const json_t *port, struct pg_service *out)
{
	int64_t number = pg_json_int(port, "port", 0);
	const char *protocol = pg_json_str(port, "protocol");
	if (number < 1 || number > 65535 || (protocol[0] && strcmp(protocol, "TCP") != 0))
		return;
	if (out->port_count < PG_POD_PORTS)
		out->ports[out->port_count++] = (uint16_t)number;
	else
		out->has_all_ports = false;
}

static int no_address(const json_t *service, const char *name, struct pg_err *err)
{
	char external[254];
	bool elsewhere = pg_json_copy(service, "spec.externalName", external, sizeof(external));
	pg_fail(err, -ENOENT, "Service '%s' has no address of its own.", name);
	if (elsewhere)
		return pg_hint(err, PG_USER, "it is a name for %s: say --to %s", external,
			       external);
	return pg_hint(err, PG_USER,
		       "its clients dial its pods: name their addresses or network, as in "
		       "--to 10.244.0.0/16");
}

int pg_kube_service_parse(const json_t *service, const char *name, struct pg_service *out,
			  struct pg_err *err)
{
	const json_t *all = pg_json_at(service, "spec.clusterIPs");
	const json_t *ports = pg_json_at(service, "spec.ports");
	*out = (struct pg_service){ .has_all_ports = true };
	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *one = json_array_get(all, i);
		if (json_is_string(one))
			add_address(json_string_value(one), out);
	}
	if (out->count == 0) /* servers before 1.20 */
		add_address(pg_json_str(service, "spec.clusterIP"), out);
	for (size_t i = 0; i < json_array_size(ports); i++)
		add_port(json_array_get(ports, i), out);
	return out->count > 0 ? 0 : no_address(service, name, err);
}

int pg_kube_service_get(struct pg_kube_api *api, const char *ns, const char *name,
			struct pg_service *out, struct pg_err *err)
{
	char what[320];
	snprintf(what, sizeof(what), "find Service '%s'", name);
	pg_auto_free char *path = pg_asprintf("/api/v1/namespaces/%s/services/%s", ns, name);
	struct pg_kube_request rq = {
		.act = { what, "get", "services", ns },
		.method = "GET",
		.path = path,
	};
	json_t *service = NULL;
	int rc = path ? pg_kube_call(api, &rq, &service, NULL, err)
		      : pg_fail(err, -ENOMEM, "%s", what);
	if (rc == -ENOENT && err->whose == PG_TARGET) /* -n chooses the pod's namespace */
		pg_hint(err, PG_TARGET,
			"see what is there: kubectl -n %s get services; one of another namespace "
			"is svc/NAME.NAMESPACE",
			ns);
	if (rc == 0)
		rc = pg_kube_service_parse(service, name, out, err);
	json_decref(service);
	return rc;
}
