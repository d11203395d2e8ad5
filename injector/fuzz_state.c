#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "injector/state.h"

/* Whatever the file holds: what is accepted is written back as it was read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pg_state st, again;
	struct pg_buf text = PG_BUF_INIT(PG_STATE_BYTES);
	if (pg_state_parse((const char *)data, size, &st) == 0) {
		if (pg_state_format(&st, &text) < 0 ||
		    pg_state_parse(pg_buf_str(&text), text.len, &again) < 0 ||
		    memcmp(&st, &again, sizeof(st)) != 0)
			abort();
	}
	pg_buf_fini(&text);
	return 0;
}
