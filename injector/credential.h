#pragma once
#include <stddef.h>

#include "injector/kube_auth_answer.h"

/* What a credential plugin answered, on its way from the podgraft that ran it to one that works for
 * it: a line of JSON on that one's standard input. So a plugin that asks on the terminal is run
 * where the terminal is, and once for all. Pure. */

/* Where another process's answers come from. */
struct pg_credential_source {
	/* An answer that is newer than number `after` (0: any), whose number goes to *number_out;
	 * straight-line. Fills *out, which is the caller's. */
	int (*ask)(void *ctx, unsigned after, struct pg_exec_answer *out, unsigned *number_out,
		   struct pg_err *err);
	void *ctx;
};

/* Adds the line, with its newline: 0, -ENOMEM, or -ENOBUFS when it is too long for *out. */
int pg_credential_line(const struct pg_exec_answer *answer, unsigned number, struct pg_buf *out);

/* The same for a plugin that failed. */
int pg_credential_failure_line(const struct pg_err *why, struct pg_buf *out);

/* Reads either: 0 with *out, which is the caller's, and *number_out; what the failure says; or
 * -EPROTO. *out is untouched unless 0. */
int pg_credential_parse(const char *line, size_t n, struct pg_exec_answer *out,
			unsigned *number_out, struct pg_err *err);
