#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/to_spec.h"

/* What is read as a Service is a name that a path may hold; what is refused has a hint. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[512], again[512];
	struct pg_to_spec spec, second;
	struct pg_err err = { .code = 0 };
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (pg_to_spec_parse(text, &spec, &err) < 0) {
		if (!err.hint[0])
			abort();
		return 0;
	}
	if (spec.kind == PG_TO_NETWORK)
		return 0;
	if (!spec.name[0] || strchr(spec.name, '/') || strchr(spec.ns, '/') || strchr(spec.ns, '.'))
		abort();
	if (spec.kind == PG_TO_HOST)
		return 0;
	snprintf(again, sizeof(again), "svc/%s%s%s", spec.name, spec.ns[0] ? "." : "", spec.ns);
	if (pg_to_spec_parse(again, &second, NULL) < 0 || second.kind != spec.kind ||
	    strcmp(second.name, spec.name) != 0 || strcmp(second.ns, spec.ns) != 0)
		abort();
	return 0;
}
