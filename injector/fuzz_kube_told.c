#include <stdint.h>

#include "injector/kube_json.h"
#include "injector/kube_told.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_kube_told told = { .next_ms = 0 };
	json_t *list = pg_json_parse((const char *)data, size, NULL);
	pg_kube_told_read(list, "podgraft-x7k2p", &told);
	json_decref(list);
	return 0;
}
