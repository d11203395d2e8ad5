#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire/auth.h"

/* There is one way to write an Authorization value: what parses is what formatting gives back. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_statement st = { .purpose = PG_PURPOSE_READ };
	uint8_t sig[PG_SIG_BYTES];
	char text[2 * PG_AUTHZ_MAX], again[PG_AUTHZ_MAX];
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (pg_authz_parse(text, &st, sig) < 0)
		return 0;
	pg_authz_format(&st, sig, again);
	if (strcmp(text, again) != 0)
		abort();
	return 0;
}
