#include <stdlib.h>
#include <string.h>

#include "injector/spdy.h"

/* Whatever arrives and however it is cut: stay in bounds, and say the same in any segmentation. */

struct seen {
	uint64_t sum; /* of every event, in order; data counts by the byte */
	size_t bytes;
};

static void mix(struct seen *s, uint64_t word)
{
	s->sum = (s->sum ^ word) * 0x100000001b3;
}

static int on_data(void *ctx, uint32_t stream, const uint8_t *p, size_t n, bool fin)
{
	struct seen *s = ctx;
	for (size_t i = 0; i < n; i++)
		mix(s, (uint64_t)stream << 8 | p[i]);
	s->bytes += n;
	if (fin)
		mix(s, 0x1000 + stream);
	return 0;
}

static int on_reply(void *ctx, uint32_t stream, bool fin)
{
	mix(ctx, 0x200000000 + stream * 2 + fin);
	return 0;
}

static int on_reset(void *ctx, uint32_t stream, uint32_t status)
{
	mix(ctx, 0x300000000 + stream);
	return status == 1 ? -1 : 0;
}

static int on_ping(void *ctx, uint32_t id)
{
	mix(ctx, 0x400000000 + id);
	return 0;
}

static int on_goaway(void *ctx, uint32_t last_stream, uint32_t status)
{
	mix(ctx, 0x500000000 + last_stream + status);
	return 0;
}

static int run(const uint8_t *data, size_t size, size_t step, struct seen *seen)
{
	static const struct pg_spdy_ops ops = { on_data, on_reply, on_reset, on_ping, on_goaway };
	struct pg_spdy_decoder d = { .ops = &ops, .ctx = seen };
	for (size_t at = 0; at < size; at += step) {
		int rc = pg_spdy_feed(&d, data + at, pg_min(step, size - at));
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
