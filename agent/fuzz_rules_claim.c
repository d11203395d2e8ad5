#include "agent/rules_claim.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever arrives: what was read is written and read again as the same claim. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_claim claim, again;
	char written[PG_CLAIM_TEXT];
	char *text = pg_strndup((const char *)data, size);
	if (!text)
		return 0;
	pg_claim_parse(text, &claim);
	free(text);
	if (memchr(claim.holder, '\0', sizeof(claim.holder)) == NULL || strchr(claim.holder, '\n'))
		abort();
	pg_claim_format(&claim, written);
	pg_claim_parse(written, &again);
	if (strcmp(again.holder, claim.holder) != 0 || again.since != claim.since)
		abort();
	return 0;
}
