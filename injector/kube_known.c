#include "injector/kube_known.h"

#include <string.h>

#include "injector/kube_json.h"

/* Values of `known`, by uid: {"metadata": {"name", "uid", "resourceVersion"}}. */

json_t *pg_kube_known_new(void)
{
	return json_object();
}

static json_t *stub_of(const json_t *pod)
{
	return json_pack("{s:{s:s, s:s, s:s}}", "metadata", "name",
			 pg_json_str(pod, "metadata.name"), "uid", pg_json_str(pod, "metadata.uid"),
			 "resourceVersion", pg_json_str(pod, "metadata.resourceVersion"));
}

void pg_kube_known_hear(json_t *known, const json_t *pod, bool is_gone)
{
	const char *uid = pg_json_str(pod, "metadata.uid");
	if (uid[0] && is_gone)
		json_object_del(known, uid);
	else if (uid[0])
		json_object_set_new(known, uid, stub_of(pod));
}

static bool is_news(const json_t *known, const json_t *pod)
{
	const json_t *was = json_object_get(known, pg_json_str(pod, "metadata.uid"));
	return !was || strcmp(pg_json_str(was, "metadata.resourceVersion"),
			      pg_json_str(pod, "metadata.resourceVersion")) != 0;
}

bool pg_kube_known_list(json_t *known, const json_t *items, json_t *changed, json_t *gone)
{
	json_t *now = json_object();
	const char *uid;
	json_t *pod;
	size_t i;
	json_array_foreach((json_t *)items, i, pod)
	{
		if (is_news(known, pod) && pg_json_str(pod, "metadata.uid")[0])
			json_array_append(changed, pod);
		pg_kube_known_hear(now, pod, false);
	}
	json_object_foreach(known, uid, pod)
	{
		if (!json_object_get(now, uid))
			json_array_append(gone, pod);
	}
	json_object_clear(known);
	json_object_update(known, now);
	json_decref(now);
	return json_array_size(changed) + json_array_size(gone) > 0;
}
