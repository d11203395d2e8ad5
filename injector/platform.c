#include "injector/platform.h"

#include <assert.h>

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
