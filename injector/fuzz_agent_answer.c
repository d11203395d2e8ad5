#include <stdlib.h>
#include <string.h>

#include "injector/agent_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever an agent answers: stay in bounds, and tell the same of it however it is cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_agent_answer whole, part;
	struct pg_challenge challenge;
	char error[256], hint[256];
	pg_challenge_parse((const char *)data, size, &challenge);
	pg_refusal_parse((const char *)data, size, error, hint);
	if (pg_agent_answer_parse(data, size, &whole) != 1)
		return 0;
	size_t end = whole.head_len + whole.body_len;
	if (end > size || pg_agent_answer_parse(data, end, &part) != 1 ||
	    memcmp(&whole, &part, sizeof(whole)) != 0)
		abort();
	return 0;
}
