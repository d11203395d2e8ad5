#include <stdint.h>
#include <stdlib.h>

#include "injector/yaml_doc.h"

/* Whatever arrives: stay in bounds; what parses can be written as JSON and read back. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *value = NULL;
	if (pg_yaml_parse((const char *)data, size, &value, NULL) < 0 || !value)
		return 0;
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	json_t *again = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
	if (!again || !json_equal(value, again))
		abort();
	free(text);
	json_decref(again);
	json_decref(value);
	return 0;
}
