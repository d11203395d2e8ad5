#include "injector/kube_told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "injector/kube_json.h"
#include "injector/read_file.h"

/* One event of container podgraft-x7k2p, and what it comes to. */
struct told_case {
	const char *event, *message, *reason, *says;
};
static struct told_case cases[] = {
	{ "ErrImageNeverPull", "Container image \"x:1\" is not present with pull policy of Never",
	  "ErrImageNeverPull", "Container image \"x:1\" is not present with pull policy of Never" },
	{ "Failed", "Failed to pull image \"x:1\": rpc error: not found", "ErrImagePull",
	  "rpc error: not found" },
	{ "Failed", "Failed to pull image", "ErrImagePull", "Failed to pull image" },
	{ "Failed", "Error: ErrImagePull", "", "" },
	{ "Failed", "Error: ErrImageNeverPull", "", "" },
	{ "Failed", "Error: ImagePullBackOff", "", "" },
	{ "Failed", "Error: container has runAsNonRoot", "CreateContainerError",
	  "container has runAsNonRoot" },
	{ "InspectFailed", "Failed to apply default image tag \"A\": invalid", "InvalidImageName",
	  "Failed to apply default image tag \"A\": invalid" },
	{ "InspectFailed", "Failed to inspect image \"x\": broken", "ImageInspectError",
	  "Failed to inspect image \"x\": broken" },
	{ "MissingClusterDNS", "pod: kubelet does not have ClusterDNS IP", "", "" },
	{ "BackOff", "Back-off pulling image \"x\"", "", "" },
	{ "", "", "", "" },
};

static json_t *draw(const char *event, const char *message, const char *field)
{
	return json_pack("{s:[{s:s,s:s,s:{s:s}}]}", "items", "reason", event, "message", message,
			 "involvedObject", "fieldPath", field);
}

static void reads(void **state)
{
	const struct told_case *c = *state;
	struct pg_kube_told told = { .next_ms = 7 };
	json_t *list = draw(c->event, c->message, "spec.ephemeralContainers{podgraft-x7k2p}");
	pg_kube_told_read(list, "podgraft-x7k2p", &told);
	assert_string_equal(told.reason, c->reason);
	assert_string_equal(told.message, c->says);
	assert_int_equal(told.next_ms, 7);
	json_decref(list);
}

static void passes_over_other_containers(void **state)
{
	static const char *const fields[] = { "spec.ephemeralContainers{podgraft-other}",
					      "spec.containers{podgraft-x7k2p}", "" };
	(void)state;
	for (size_t i = 0; i < PG_LEN(fields); i++) {
		struct pg_kube_told told = { .next_ms = 0 };
		json_t *list = draw("Failed", "Error: no", fields[i]);
		pg_kube_told_read(list, "podgraft-x7k2p", &told);
		assert_string_equal(told.reason, "");
		json_decref(list);
	}
}

/* Of a pod whose agent was to come from a registry that is not there. */
static void reads_what_a_kubelet_wrote(void **state)
{
	struct pg_buf text = PG_BUF_INIT(1 << 20);
	struct pg_kube_told told = { .next_ms = 0 };
	(void)state;
	assert_int_equal(pg_read_file("fuzz_kube_told.corpus/pull.json", &text, NULL), 0);
	json_t *list = pg_json_parse(pg_buf_str(&text), text.len, NULL);
	pg_kube_told_read(list, "podgraft-x7k2p", &told);
	assert_string_equal(told.reason, "ErrImagePull");
	assert_non_null(strstr(told.message, "connection refused"));
	json_decref(list);
	pg_buf_fini(&text);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(cases) + 2] = {
		cmocka_unit_test(passes_over_other_containers),
		cmocka_unit_test(reads_what_a_kubelet_wrote),
	};
	size_t n = 2;
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[n++] = (struct CMUnitTest){ cases[i].message, reads, NULL, NULL, &cases[i] };
	return _cmocka_run_group_tests("test_kube_told", tests, n, NULL, NULL);
}
