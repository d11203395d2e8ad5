/* Which probes a pod declares, where they come from, and what a person is told of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "injector/kube_json.h"
#include "injector/kube_probes.h"
#include "proto/base/mem.h"

/* One container with a liveness probe: what is read, and what is said when 8080 goes to L. */
struct probe_case {
	const char *name;
	const char *probe; /* with ' for " */
	int kind;          /* enum pg_probe_kind, or -1: it is left out */
	uint16_t port;
	const char *warning; /* part of it, or NULL: none */
	bool no_local;
};

static struct probe_case cases[] = {
	{ "http by number", "{'httpGet':{'port':8080,'path':'/'}}", PG_PROBE_HTTP, 8080, NULL,
	  false },
	{ "http by name", "{'httpGet':{'port':'web'}}", PG_PROBE_HTTP, 8080, NULL, false },
	{ "http by a number in a string", "{'httpGet':{'port':'9090'}}", PG_PROBE_HTTP, 9090, NULL,
	  false },
	{ "http by a name that is not there", "{'httpGet':{'port':'db'}}", -1, 0, NULL, false },
	{ "http to another host", "{'httpGet':{'host':'10.0.0.9','port':8080}}", -1, 0, NULL,
	  false },
	{ "http with a port beyond all", "{'httpGet':{'port':70000}}", -1, 0, NULL, false },
	{ "https", "{'httpGet':{'port':8080,'scheme':'HTTPS'}}", PG_PROBE_HTTPS, 8080,
	  "port 8080: the liveness probe of container 'app' will reach L: it is https", false },
	{ "https of another port", "{'httpGet':{'port':8443,'scheme':'HTTPS'}}", PG_PROBE_HTTPS,
	  8443, NULL, false },
	{ "http in disguise",
	  "{'httpGet':{'port':8080,'httpHeaders':[{'name':'user-agent','value':'x'}]}}",
	  PG_PROBE_HTTP_DISGUISED, 8080, "a User-Agent of its own", false },
	{ "http with a header of another name",
	  "{'httpGet':{'port':8080,'httpHeaders':[{'name':'X','value':'x'}]}}", PG_PROBE_HTTP, 8080,
	  NULL, false },
	{ "grpc", "{'grpc':{'port':8080}}", PG_PROBE_GRPC, 8080, NULL, false },
	{ "tcp", "{'tcpSocket':{'port':8080}}", -1, 0, NULL, false },
	{ "exec that dials", "{'exec':{'command':['curl','-f','http://localhost:8080/']}}",
	  PG_PROBE_EXEC, 0, "--no-local leaves it to the app", false },
	{ "exec that dials, left alone", "{'exec':{'command':['nc','127.0.0.1','8080']}}",
	  PG_PROBE_EXEC, 0, NULL, true },
	{ "exec that dials IPv6", "{'exec':{'command':['nc','::1','8080']}}", PG_PROBE_EXEC, 0,
	  "dials localhost", false },
	{ "exec that dials another port", "{'exec':{'command':['nc','localhost','80801']}}",
	  PG_PROBE_EXEC, 0, NULL, false },
	{ "exec that dials nobody", "{'exec':{'command':['test','-e','8080']}}", PG_PROBE_EXEC, 0,
	  NULL, false },
	{ "exec of no words", "{'exec':{'command':[7,null]}}", PG_PROBE_EXEC, 0, NULL, false },
	{ "nothing that we know", "{'smoke':{'port':8080}}", -1, 0, NULL, false },
	{ "no object", "7", -1, 0, NULL, false },
};

static json_t *parse(const char *text)
{
	char copy[2048];
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *c = copy; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	json_t *o = pg_json_parse(copy, strlen(copy), NULL);
	assert_non_null(o);
	return o;
}

static void reads_and_warns(void **state)
{
	const struct probe_case *c = *state;
	struct pg_pod_probes probes;
	char text[1024], warning[512] = "";
	snprintf(text, sizeof(text),
		 "{'spec':{'containers':[{'name':'app','ports':[{'name':'web','containerPort':8080}"
		 "],"
		 "'livenessProbe':%s}]}}",
		 c->probe);
	json_t *pod = parse(text);
	pg_kube_probes_read(pod, &probes);
	json_decref(pod);
	assert_int_equal(probes.count, c->kind >= 0);
	if (c->kind < 0)
		return;
	assert_int_equal(probes.items[0].kind, c->kind);
	assert_int_equal(probes.items[0].port, c->port);
	bool is_warned = pg_probe_warning(&probes.items[0], 8080, "L", c->no_local, warning,
					  sizeof(warning));
	assert_int_equal(is_warned, c->warning != NULL);
	if (c->warning && !strstr(warning, c->warning))
		fail_msg("%s", warning);
}

static void every_container_that_runs_counts(void **state)
{
	struct pg_pod_probes probes;
	bool grpc;
	json_t *pod =
		parse("{'spec':{'containers':[{'name':'a','readinessProbe':{'grpc':{'port':1}}},"
		      "{'name':'b','startupProbe':{'httpGet':{'port':2}},"
		      "'livenessProbe':{'httpGet':{'port':1}}}],"
		      "'initContainers':[{'name':'i','livenessProbe':{'httpGet':{'port':3}}},"
		      "{'name':'s','restartPolicy':'Always',"
		      "'livenessProbe':{'httpGet':{'port':4,'scheme':'HTTPS'}}}]}}");
	(void)state;
	pg_kube_probes_read(pod, &probes);
	json_decref(pod);
	assert_int_equal(probes.count, 4);
	assert_true(pg_probes_read_first(&probes, 1, &grpc));
	assert_true(grpc);
	assert_true(pg_probes_read_first(&probes, 2, &grpc));
	assert_false(grpc);
	assert_false(pg_probes_read_first(&probes, 3, &grpc));
	assert_false(pg_probes_read_first(&probes, 4, &grpc));
}

static void the_node_has_its_addresses(void **state)
{
	struct pg_pod_probes probes;
	json_t *pod = parse("{'status':{'hostIP':'10.0.0.1','hostIPs':[{'ip':'10.0.0.1'},"
			    "{'ip':'fd00::1'},{'ip':'none'},{}]}}");
	json_t *old = parse("{'status':{'hostIP':'10.0.0.2'}}");
	(void)state;
	pg_kube_probes_read(pod, &probes);
	assert_int_equal(probes.node_count, 2);
	assert_int_equal(probes.nodes[0].length, 4);
	assert_int_equal(probes.nodes[1].length, 16);
	pg_kube_probes_read(old, &probes);
	assert_int_equal(probes.node_count, 1);
	assert_memory_equal(probes.nodes[0].bytes, "\x0a\0\0\x02", 4);
	json_decref(pod);
	json_decref(old);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 2] = {
		cmocka_unit_test(every_container_that_runs_counts),
		cmocka_unit_test(the_node_has_its_addresses),
	};
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i + 2] = (struct CMUnitTest){ cases[i].name, reads_and_warns, NULL, NULL,
						    &cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
