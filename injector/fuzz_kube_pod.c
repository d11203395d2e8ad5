#include <stdint.h>
#include <stdlib.h>

#include "injector/kube_json.h"
#include "injector/kube_patch.h"
#include "injector/kube_pod.h"
#include "injector/kube_selector.h"
#include "injector/kube_start.h"
#include "injector/plan.h"

/* Whatever JSON a server sends as pod, Service or workload: stay in bounds, whatever its types. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_kube_rank rank;
	struct pg_pod pod = { .port_count = 0 };
	struct pg_buf selector = PG_BUF_INIT(4096);
	json_t *o = pg_json_parse((const char *)data, size, NULL);
	const json_t *statuses = pg_json_at(o, "status.ephemeralContainerStatuses");
	pg_kube_rank_read(o, &rank);
	if (pg_kube_rank_compare(&rank, &rank) != 0)
		abort();
	pg_kube_pod_life(o);
	pg_kube_pod_read(o, NULL, &pod, NULL);
	pg_kube_pod_read(o, "app", &pod, NULL);
	pg_kube_service_read(o, &pod);
	for (int i = 0; i < PG_PROFILE_COUNT; i++)
		pg_kube_patch_kept(o, (enum pg_profile)i, pg_json_str(o, "metadata.name"), NULL);
	pg_plan_kernel_is_enough(pg_json_str(o, "status.nodeInfo.kernelVersion"));
	pg_kube_selector_object(pg_json_at(o, "spec.selector"), &selector);
	pg_kube_selector_map(pg_json_at(o, "spec.selector"), &selector);
	for (size_t i = 0; i < json_array_size(statuses) && i < 4; i++) {
		struct pg_err err;
		struct pg_kube_start start = {
			.container = pg_json_str(json_array_get(statuses, i), "name"),
		};
		for (uint64_t now_ms = 0; now_ms < 20000; now_ms += 4000)
			pg_kube_start_judge(&start, o, now_ms, &err);
	}
	pg_buf_fini(&selector);
	json_decref(o);
	return 0;
}
