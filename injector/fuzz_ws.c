#include <stdlib.h>
#include <string.h>

#include "injector/ws.h"
#include "proto/base/num.h"

/* Whatever arrives and however it is cut: stay in bounds, and say the same in any segmentation. */

struct seen {
	uint64_t sum; /* of every event, in order; data counts by the byte */
	size_t bytes;
};

static void mix(struct seen *s, uint64_t word)
{
	s->sum = (s->sum ^ word) * 0x100000001b3;
}

static int on_data(void *ctx, const uint8_t *p, size_t n, bool first)
{
	struct seen *s = ctx;
	if (first)
		mix(s, 0x100);
	for (size_t i = 0; i < n; i++)
		mix(s, p[i]);
	s->bytes += n;
	return 0;
}

static int on_ping(void *ctx, const uint8_t *p, size_t n)
{
	mix(ctx, 0x200 + n);
	return on_data(ctx, p, n, false);
}

static int on_close(void *ctx, uint16_t code)
{
	mix(ctx, 0x10000 + code);
	return code == PG_WS_NORMAL ? -1 : 0;
}

static int run(const uint8_t *data, size_t size, size_t step, struct seen *seen)
{
	static const struct pg_ws_ops ops = { on_data, on_ping, on_close };
	struct pg_ws_decoder d = { .ops = &ops, .ctx = seen };
	for (size_t at = 0; at < size; at += step) {
		int rc = pg_ws_feed(&d, data + at, pg_min(step, size - at));
		if (rc != 0)
			return rc;
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole = { .sum = 1 }, bytes = { .sum = 1 }, odd = { .sum = 1 };
	int rc = run(data, size, size + 1, &whole);
	if (run(data, size, 1, &bytes) != rc || run(data, size, 7, &odd) != rc)
		abort();
	if (whole.sum != bytes.sum || whole.sum != odd.sum || whole.bytes > size)
		abort();
	return 0;
}
