#include "agent/rules_claim.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_holder(const char holder[65])
{
	if (memchr(holder, '\0', 65) == NULL || strchr(holder, '\n'))
		abort();
}

static void check_claim(const char *text)
{
	struct pg_claim claim, again;
	char written[PG_CLAIM_TEXT];
	pg_claim_parse(text, &claim);
	check_holder(claim.holder);
	pg_claim_format(&claim, written);
	pg_claim_parse(written, &again);
	if (strcmp(again.holder, claim.holder) != 0 || again.since != claim.since)
		abort();
}

static void check_question(const char *text)
{
	struct pg_question question, again;
	char written[PG_CLAIM_TEXT];
	pg_question_parse(text, &question);
	check_holder(question.by.holder);
	if (question.boot_s == PG_QUESTION_NEVER)
		return;
	pg_question_format(&question, written);
	pg_question_parse(written, &again);
	if (strcmp(again.by.holder, question.by.holder) != 0 ||
	    again.by.since != question.by.since || again.boot_s != question.boot_s)
		abort();
}

/* Whatever arrives: what was read is written and read again as the same claim, or question. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = pg_strndup((const char *)data, size);
	if (!text)
		return 0;
	check_claim(text);
	check_question(text);
	free(text);
	return 0;
}
