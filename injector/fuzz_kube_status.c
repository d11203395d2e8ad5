#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_log.h"
#include "injector/kube_watch.h"

/* Whatever a server answers: it ends in a failure with a message, and an event is one or is none.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int codes[] = { 200, 204, 302, 400, 401, 403, 404, 409, 410, 422, 429, 500 };
	static const struct pg_kube_act act = { "do it", "get", "pods/ephemeralcontainers", "ns" };
	char *text = calloc(size + 1, 1);
	if (!text)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct pg_kube_status st;
		struct pg_err err = { .code = 0 };
		pg_kube_status_parse(codes[i], text, size, &st);
		pg_kube_log_is_early(&st);
		if (pg_kube_refused(&st, &act, &err) >= 0 || err.code >= 0 || !err.what[0])
			abort();
	}
	struct pg_kube_event ev = { .object = NULL };
	if (pg_kube_event_parse(text, &ev) == 0)
		json_decref(ev.object);
	free(text);
	return 0;
}
