#include <stdlib.h>
#include <string.h>

#include "injector/http.h"
#include "injector/http_head.h"

/* A head, a header of it and a chunked body out of the same bytes: stay inside them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_buf b = PG_BUF_INIT(1 << 20);
	size_t n = 0;
	if (pg_buf_add(&b, data, size) < 0)
		return 0;
	const char *text = pg_buf_str(&b), *end = pg_http_head_end(&b);
	if (end && (end < text + 4 || end > text + b.len))
		abort();
	int status = pg_http_head_status(&b);
	if (status != 0 && (status < 100 || status > 999))
		abort();
	const char *value = pg_http_head_value(&b, "Upgrade", &n);
	if (value && (value < text || value + n > text + b.len))
		abort();
	pg_http_join_chunks(&b);
	if (b.len > size)
		abort();
	pg_buf_fini(&b);
	return 0;
}
