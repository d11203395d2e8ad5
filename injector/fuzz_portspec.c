#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/portspec.h"

/* What is read can be written down and read again; exactly one of name and number is set. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[64], again[64];
	struct pg_portspec spec, second;
	struct pg_err err = { .code = 0 };
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (pg_portspec_parse(text, &spec, &err) < 0) {
		if (!err.hint[0])
			abort();
		return 0;
	}
	if (!spec.name[0] == !spec.pod || (spec.pod && !spec.local))
		abort();
	char pod[20];
	snprintf(pod, sizeof(pod), "%u", spec.pod);
	char local[8] = "";
	if (spec.local)
		snprintf(local, sizeof(local), ":%u", spec.local);
	snprintf(again, sizeof(again), "%s%s", spec.name[0] ? spec.name : pod, local);
	if (pg_portspec_parse(again, &second, NULL) < 0 || strcmp(second.name, spec.name) != 0 ||
	    second.pod != spec.pod || second.local != spec.local)
		abort();
	return 0;
}
