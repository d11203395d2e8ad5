#include "injector/kube_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "injector/kube_json.h"
#include "injector/kube_patch.h"
#include "proto/base/mem.h"

struct desk {
	char dir[64];
	struct pg_keys keys;
	struct pg_pod pod;
	struct pg_graft_spec spec;
	struct pg_graft graft;
	struct pg_kube_record record;
};

/* The pod with the agent's entry, and with `state` of its container; "" for none yet. */
static json_t *pod_with(const struct desk *d, const struct pg_graft_spec *as, const char *state)
{
	char *text = pg_kube_patch_text(&d->pod, as, d->graft.container);
	json_t *pod = pg_json_parse(text, strlen(text), NULL);
	char status[300];
	snprintf(status, sizeof(status),
		 "{\"phase\":\"Running\",\"ephemeralContainerStatuses\":[{\"name\":\"%s\","
		 "\"state\":{%s}}]}",
		 d->graft.container, state);
	json_object_set_new(json_object_get(pod, "spec"), "nodeName", json_string("n1"));
	json_object_set_new(pod, "status", json_loads(status, 0, NULL));
	free(text);
	return pod;
}

/* Records the agent as asked for, and looks for it in such a pod. */
static bool is_awaited(struct desk *d, const struct pg_graft_spec *as, const char *state)
{
	char name[PG_NAME_MAX + 1];
	json_t *seen = pod_with(d, &d->spec, state);
	pg_kube_record_put(&d->record, &d->pod, &d->spec, &d->graft);
	bool found = pg_kube_record_awaited(&d->record, &d->pod, as, seen, name);
	if (found)
		assert_string_equal(name, d->graft.container);
	json_decref(seen);
	return found;
}

#define WAITING "\"waiting\":{\"reason\":\"ContainerCreating\"}"
#define RUNNING "\"running\":{}"
#define ENDED   "\"terminated\":{\"exitCode\":0}"

static void what_was_asked_for_is_waited_for_until_it_ends(void **state)
{
	struct desk *d = *state;
	assert_true(is_awaited(d, &d->spec, ""));
	assert_true(is_awaited(d, &d->spec, WAITING));
	assert_true(is_awaited(d, &d->spec, RUNNING)); /* it began when nobody looked */
	assert_false(is_awaited(d, &d->spec, ENDED));
}

static void another_profile_image_or_policy_is_another_agent(void **state)
{
	struct desk *d = *state;
	struct pg_graft_spec other = d->spec;
	other.profile = PG_PROFILE_FORWARD;
	assert_false(is_awaited(d, &other, WAITING));
	other = d->spec;
	other.image = "agent:2";
	assert_false(is_awaited(d, &other, WAITING));
	other = d->spec;
	other.pull_policy = "Always";
	assert_false(is_awaited(d, &other, WAITING));
	d->spec.pull_policy = "Never"; /* of the one in the pod */
	other.pull_policy = NULL;
	assert_false(is_awaited(d, &other, WAITING));
	assert_true(is_awaited(d, &d->spec, WAITING));
}

static void what_is_not_on_record_is_not_ours(void **state)
{
	struct desk *d = *state;
	char name[PG_NAME_MAX + 1];
	struct pg_graft found;
	json_t *seen = pod_with(d, &d->spec, WAITING);
	assert_false(pg_kube_record_awaited(&d->record, &d->pod, &d->spec, seen, name));
	pg_kube_record_put(&d->record, &d->pod, &d->spec, &d->graft);
	pg_kube_record_drop(&d->record, d->pod.uid, d->graft.container);
	assert_false(pg_kube_record_awaited(&d->record, &d->pod, &d->spec, seen, name));
	assert_false(pg_kube_record_known(&d->record, d->pod.cluster, d->pod.uid,
					  d->graft.container, &found));
	json_decref(seen);
}

static void only_one_that_listens_is_used_again(void **state)
{
	struct desk *d = *state;
	char name[PG_NAME_MAX + 1];
	struct pg_graft found;
	json_t *seen = pod_with(d, &d->spec, RUNNING);
	pg_kube_record_put(&d->record, &d->pod, &d->spec, &d->graft);
	assert_false(pg_kube_record_find(&d->record, &d->pod, &d->spec, seen, &found));
	assert_false(pg_kube_record_known(&d->record, d->pod.cluster, d->pod.uid,
					  d->graft.container, &found));
	d->graft.port = 41873;
	d->graft.agent_key[0] = 7;
	pg_kube_record_put(&d->record, &d->pod, &d->spec, &d->graft);
	assert_true(pg_kube_record_find(&d->record, &d->pod, &d->spec, seen, &found));
	assert_int_equal(found.port, 41873);
	assert_int_equal(found.agent_key[0], 7);
	assert_true(found.reused);
	assert_false(pg_kube_record_awaited(&d->record, &d->pod, &d->spec, seen, name));
	assert_true(pg_kube_record_known(&d->record, d->pod.cluster, d->pod.uid, d->graft.container,
					 &found));
	json_decref(seen);
}

static int set_up(void **state)
{
	struct desk *d = calloc(1, sizeof(*d));
	*d = (struct desk){ .dir = "/tmp/podgraft-record-XXXXXX",
			    .pod = { .cluster = "https://a:6443",
				     .ns = "dev",
				     .name = "web-0",
				     .uid = "30eea69b" },
			    .spec = { .profile = PG_PROFILE_REDIRECT, .image = "agent:1" },
			    .graft = { .container = "podgraft-x7k2p" } };
	d->spec.keys = &d->keys;
	d->record = (struct pg_kube_record){ .dir = d->dir };
	*state = d;
	return mkdtemp(d->dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct desk *d = *state;
	static const char *const files[] = { "state.json", "lock" };
	char path[128];
	for (size_t i = 0; i < PG_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", d->dir, files[i]);
		unlink(path);
	}
	int rc = rmdir(d->dir);
	free(d);
	return rc;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_was_asked_for_is_waited_for_until_it_ends),
		CASE(another_profile_image_or_policy_is_another_agent),
		CASE(what_is_not_on_record_is_not_ours),
		CASE(only_one_that_listens_is_used_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
