#include <stdlib.h>
#include <string.h>

#include "injector/portfwd_impl.h"

/* What an API server, or whoever plays one, may send after the upgrade: the first byte chooses the
 * transport. Stay in bounds, and come to a verdict. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_err err;
	if (size == 0)
		return 0;
	struct pg_loop *loop = pg_loop_new(&err);
	enum pg_transport t = (enum pg_transport)(PG_TRANSPORT_SPDY + data[0] % 3);
	struct pg_portfwd *f = loop ? pg_portfwd_new(loop, NULL, t, 25001) : NULL;
	if (!f)
		abort();
	int rc = 0;
	for (size_t at = 1, step = 1; at < size && rc == 0; at += step, step = step % 40 + 1)
		rc = pg_portfwd_feed(f, data + at, step < size - at ? step : size - at);
	if (rc > 0)
		abort();
	pg_portfwd_conclude(f, rc);
	if (f->verdict.code > 0 || strlen(f->verdict.what) >= sizeof(f->verdict.what))
		abort();
	pg_lane_close(&f->lane);
	pg_loop_free(loop);
	return 0;
}
