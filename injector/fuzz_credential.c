#include <stdint.h>
#include <stdlib.h>

#include "injector/credential.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever comes on standard input: what is taken can be written and read again, as it was. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_exec_answer a, again;
	struct pg_buf line = PG_BUF_INIT(1 << 20);
	struct pg_err err;
	unsigned number, same;
	if (pg_credential_parse((const char *)data, size, &a, &number, &err) < 0)
		return 0;
	if (number == 0 || (!a.token && !a.cert_pem) || !a.cert_pem != !a.key_pem)
		abort();
	if (pg_credential_line(&a, number, &line) == 0) {
		if (pg_credential_parse(pg_buf_str(&line), line.len, &again, &same, &err) < 0 ||
		    same != number || again.expires_s != a.expires_s)
			abort();
		pg_exec_answer_fini(&again);
	}
	pg_buf_fini(&line);
	pg_exec_answer_fini(&a);
	return 0;
}
