#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/target.h"

/* What is read as a target names a kind and a name that are read again as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[512], again[512];
	struct pg_target target, second;
	struct pg_err err = { .code = 0 };
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (pg_target_parse(text, &target, &err) < 0) {
		if (!err.hint[0])
			abort();
		return 0;
	}
	snprintf(again, sizeof(again), "%s/%s", pg_target_kind_name(target.kind), target.name);
	if (pg_target_parse(again, &second, NULL) < 0 || second.kind != target.kind ||
	    strcmp(second.name, target.name) != 0)
		abort();
	return 0;
}
