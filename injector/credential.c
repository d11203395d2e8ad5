#include "injector/credential.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "injector/kube_json.h"
#include "proto/base/mem.h"

static int add_line(json_t *object, struct pg_buf *out)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	int rc = text ? pg_buf_addf(out, "%s\n", text) : -ENOMEM;
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
	json_decref(object);
	return rc;
}

int pg_credential_line(const struct pg_exec_answer *a, unsigned number, struct pg_buf *out)
{
	return add_line(json_pack("{s:{s:s*, s:s*, s:s*, s:I, s:I}}", "credential", "token",
				  a->token, "certificate", a->cert_pem, "key", a->key_pem,
				  "expires", (json_int_t)a->expires_s, "number",
				  (json_int_t)number),
			out);
}

int pg_credential_failure_line(const struct pg_err *why, struct pg_buf *out)
{
	struct pg_err clean = *why;
	pg_sanitize(clean.what); /* which makes it valid UTF-8, too */
	pg_sanitize(clean.hint);
	return add_line(
		json_pack("{s:{s:s, s:s}}", "failure", "message", clean.what, "hint", clean.hint),
		out);
}

static int told_failure(const json_t *failure, struct pg_err *err)
{
	char text[sizeof(err->what)];
	snprintf(text, sizeof(text), "%s", pg_json_str(failure, "message"));
	size_t n = strlen(text);
	if (n > 0 && text[n - 1] == '.')
		text[n - 1] = '\0';
	pg_fail(err, -EPERM, "no credentials: %s.", text);
	return pg_hint(err, PG_CLUSTER, "%s", pg_json_str(failure, "hint"));
}

/* NULL also for "", which is no credential. */
static char *copy_of(const json_t *o, const char *key)
{
	const char *text = pg_json_str(o, key);
	return text[0] ? pg_strdup(text) : NULL;
}

static int read_answer(const json_t *o, struct pg_exec_answer *out, unsigned *number_out)
{
	struct pg_exec_answer a = { .token = copy_of(o, "token"),
				    .cert_pem = copy_of(o, "certificate"),
				    .key_pem = copy_of(o, "key"),
				    .expires_s = pg_json_int(o, "expires", 0) };
	int64_t number = pg_json_int(o, "number", 0);
	bool is_whole = (a.token || a.cert_pem) && !a.cert_pem == !a.key_pem;
	if (!is_whole || number < 1 || number > UINT_MAX) {
		pg_exec_answer_fini(&a);
		return -EPROTO;
	}
	*out = a;
	*number_out = (unsigned)number;
	return 0;
}

int pg_credential_parse(const char *line, size_t n, struct pg_exec_answer *out,
			unsigned *number_out, struct pg_err *err)
{
	json_t *o = pg_json_parse(line, n, NULL);
	const json_t *failure = json_object_get(o, "failure");
	int rc = json_is_object(failure)
			 ? told_failure(failure, err)
			 : read_answer(json_object_get(o, "credential"), out, number_out);
	json_decref(o);
	if (rc == -EPROTO)
		pg_fail(err, rc, "read a credential from the podgraft that started this one");
	return rc;
}
