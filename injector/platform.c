#include "injector/platform.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/base/auto.h"

static const char *const profile_names[] = {
	[PG_PROFILE_REDIRECT] = "redirect",
	[PG_PROFILE_FORWARD] = "forward",
	[PG_PROFILE_INSPECT] = "inspect",
};
static_assert(PG_LEN(profile_names) == PG_PROFILE_COUNT, "one name per profile");

const char *pg_profile_name(enum pg_profile profile)
{
	assert(profile < PG_PROFILE_COUNT);
	return profile_names[profile];
}

int pg_profile_parse(const char *name, enum pg_profile *out)
{
	for (size_t i = 0; i < PG_LEN(profile_names); i++) {
		if (strcmp(profile_names[i], name) != 0)
			continue;
		*out = (enum pg_profile)i;
		return 0;
	}
	return -EINVAL;
}

bool pg_profile_covers(enum pg_profile has, enum pg_profile needs)
{
	return has == needs || (has == PG_PROFILE_REDIRECT && needs == PG_PROFILE_FORWARD);
}

/* There a rule would take the port from every process of the node. */
int pg_pod_check_network(const struct pg_pod *pod, enum pg_profile profile, struct pg_err *err)
{
	if (!pod->host_network || profile != PG_PROFILE_REDIRECT)
		return 0;
	pg_fail(err, -EOPNOTSUPP,
		"pod '%s' has no network of its own but its node's: podgraft changes no rules "
		"there.",
		pod->name);
	return pg_hint(err, PG_TARGET,
		       "choose a pod without hostNetwork; ps, and inject --profile forward, work "
		       "with this one");
}
