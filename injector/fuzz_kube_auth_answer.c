#include <stdint.h>
#include <stdlib.h>

#include "injector/kube_auth_answer.h"

/* Whatever a plugin prints: a credential that is whole, or a message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pg_exec_answer a;
	struct pg_err err = { .code = 0 };
	if (pg_exec_answer_parse((const char *)data, size, "client.authentication.k8s.io/v1", &a,
				 &err) < 0) {
		if (!err.what[0])
			abort();
		return 0;
	}
	if ((!a.token && !a.cert_pem) || !a.cert_pem != !a.key_pem)
		abort();
	pg_exec_answer_fini(&a);
	return 0;
}
