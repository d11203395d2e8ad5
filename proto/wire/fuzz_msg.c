#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire/frame.h"
#include "proto/wire/msg.h"

/* What was accepted can be packed, and if that is accepted in turn (fields unknown to us are
 * carried along and need not be), it packs to the same bytes. */
static void control(const uint8_t *data, size_t size)
{
	static uint8_t first[2 * PG_FRAME_MAX], second[2 * PG_FRAME_MAX];
	Podgraft__V1__Control *m = NULL, *m2 = NULL;
	if (pg_msg_unpack(data, size, &m, NULL) < 0)
		return;
	int n = pg_msg_pack(m, first, sizeof(first));
	if (n < 0)
		abort();
	if (pg_msg_unpack(first, (size_t)n, &m2, NULL) == 0 &&
	    (pg_msg_pack(m2, second, sizeof(second)) != n || memcmp(first, second, (size_t)n) != 0))
		abort();
	pg_msg_free(m2);
	pg_msg_free(m);
}

static void open_payload(const uint8_t *data, size_t size)
{
	uint8_t first[2 * PG_OPEN_MAX], second[2 * PG_OPEN_MAX];
	Podgraft__V1__Open *m = NULL, *m2 = NULL;
	if (pg_open_unpack(data, size, &m, NULL) < 0)
		return;
	int n = pg_open_pack(m, first, sizeof(first));
	if (n < 0)
		abort();
	if (pg_open_unpack(first, (size_t)n, &m2, NULL) == 0 &&
	    (pg_open_pack(m2, second, sizeof(second)) != n ||
	     memcmp(first, second, (size_t)n) != 0))
		abort();
	pg_open_free(m2);
	pg_open_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	control(data, size);
	open_payload(data, size);
	return 0;
}
