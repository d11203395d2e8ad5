#include <stdlib.h>
#include <string.h>

#include "agent/first_bytes.h"
#include "proto/base/num.h"

/* Whatever a client sends: stay in bounds, keep to a verdict, and take out one acknowledgement at
 * most. The first byte says what is expected. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t bytes[PG_FIRST_MAX];
	if (size == 0)
		return 0;
	bool grpc = data[0] & 1, greeted = data[0] & 2;
	size_t n = pg_min(size - 1, sizeof(bytes));
	enum pg_first half = pg_first_look(data + 1, n / 2, grpc, greeted);
	enum pg_first whole = pg_first_look(data + 1, n, grpc, greeted);
	if ((half == PG_FIRST_PROBE || half == PG_FIRST_OTHER) && whole != half)
		abort();
	memcpy(bytes, data + 1, n);
	size_t left = pg_first_forget_greeting(bytes, n);
	if (left > n || n - left > sizeof(bytes) || (left < n && n - left < PG_FIRST_GREETING))
		abort();
	return 0;
}
