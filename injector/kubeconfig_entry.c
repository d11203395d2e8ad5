#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "injector/kubeconfig_files.h"
#include "injector/read_file.h"
#include "proto/base/mem.h"

int pg_kube_bad(const struct pg_kube_entry *e, struct pg_err *err, const char *fmt, ...)
{
	char what[300];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	pg_fail(err, -EINVAL, "%s", what);
	if (e->file)
		pg_wrap(err, "kubeconfig %s: %s '%s'", e->file->path, e->kind, e->name);
	return pg_hint(err, PG_CLUSTER,
		       "correct that entry, or choose another one with --context or --%s", e->kind);
}

static int no_memory(struct pg_err *err)
{
	return pg_fail(err, -ENOMEM, "read the kubeconfig");
}

/* The member `key`, NULL when absent or null. */
static json_t *member(const struct pg_kube_entry *e, const char *key)
{
	json_t *value = json_object_get(e->map, key);
	return json_is_null(value) ? NULL : value;
}

/* The text of `value`, NULL when it is no text or holds a NUL. */
static const char *plain_text(const json_t *value)
{
	const char *text = json_string_value(value);
	return text && strlen(text) == json_string_length(value) ? text : NULL;
}

int pg_kube_text(const struct pg_kube_entry *e, const char *key, char **out, struct pg_err *err)
{
	const json_t *value = member(e, key);
	const char *text = plain_text(value);
	char *copy = NULL;
	if (value && !text)
		return pg_kube_bad(e, err, "%s must be text (put it in quotes)", key);
	if (text && *text) {
		copy = pg_strdup(text);
		if (!copy)
			return no_memory(err);
	}
	free(*out);
	*out = copy;
	return 0;
}

int pg_kube_bool(const struct pg_kube_entry *e, const char *key, bool *out, struct pg_err *err)
{
	const json_t *value = member(e, key);
	if (value && !json_is_boolean(value))
		return pg_kube_bad(e, err, "%s must be true or false", key);
	*out = json_is_true(value);
	return 0;
}

void pg_kube_strings_free(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

int pg_kube_member(const struct pg_kube_entry *e, const char *key, bool is_list, json_t **out,
		   struct pg_err *err)
{
	json_t *value = member(e, key);
	if (value && !(is_list ? json_is_array(value) : json_is_object(value)))
		return pg_kube_bad(e, err, "%s must be a %s", key, is_list ? "list" : "mapping");
	*out = value;
	return 0;
}

int pg_kube_list(const struct pg_kube_entry *e, const char *key, char ***out, struct pg_err *err)
{
	json_t *array = NULL;
	int rc = pg_kube_member(e, key, true, &array, err);
	size_t n = json_array_size(array);
	char **list = NULL;
	if (rc < 0)
		return rc;
	if (n > 0) {
		list = pg_calloc(n + 1, sizeof(*list));
		if (!list)
			return no_memory(err);
	}
	for (size_t i = 0; i < n; i++) {
		const char *text = plain_text(json_array_get(array, i));
		if (!text) {
			rc = pg_kube_bad(e, err, "%s must be a list of texts (use quotes)", key);
			break;
		}
		list[i] = pg_strdup(text);
		if (!list[i]) {
			rc = no_memory(err);
			break;
		}
	}
	if (rc < 0) {
		pg_kube_strings_free(list);
		return rc;
	}
	pg_kube_strings_free(*out);
	*out = list;
	return 0;
}

int pg_kube_path(const struct pg_kube_entry *e, const char *key, char **out, struct pg_err *err)
{
	pg_auto_free char *path = NULL;
	int rc = pg_kube_text(e, key, &path, err);
	if (rc < 0)
		return rc;
	char *full = path ? pg_kube_resolve(e->file->dir, path) : NULL;
	if (path && !full)
		return no_memory(err);
	free(*out);
	*out = full;
	return 0;
}

static bool looks_like_pem(const char *text, size_t n)
{
	return strlen(text) == n && strstr(text, "-----BEGIN ") != NULL;
}

int pg_kube_pem_file(const char *path, char **out, struct pg_err *err)
{
	struct pg_buf text = PG_BUF_INIT(PG_KUBE_PEM_BYTES_MAX);
	int rc = pg_read_file(path, &text, err);
	if (rc == 0 && !looks_like_pem(pg_buf_str(&text), text.len))
		rc = pg_fail(err, -EINVAL, "'%s' holds no PEM text", path);
	if (rc < 0) {
		pg_buf_fini(&text);
		return pg_hint(err, PG_CLUSTER, "check the file, which must begin with -----BEGIN");
	}
	free(*out);
	*out = (char *)text.data;
	return 0;
}

/* Decodes base64, line breaks allowed, to a PEM text. */
static int decode_pem(const struct pg_kube_entry *e, const char *key, const char *base64,
		      char **out, struct pg_err *err)
{
	size_t n = strlen(base64), used = 0;
	const char *end = NULL;
	pg_auto_free char *text = pg_calloc(n / 4 * 3 + 4, 1);
	if (!text)
		return no_memory(err);
	if (sodium_base642bin((unsigned char *)text, n / 4 * 3 + 3, base64, n, " \t\r\n", &used,
			      &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    *end != '\0')
		return pg_kube_bad(e, err, "%s is not base64", key);
	if (!looks_like_pem(text, used))
		return pg_kube_bad(e, err, "%s holds no PEM text in base64", key);
	free(*out);
	*out = pg_take_ptr(&text);
	return 0;
}

int pg_kube_pem(const struct pg_kube_entry *e, const char *key, char **out, struct pg_err *err)
{
	char data_key[64];
	pg_auto_free char *path = NULL, *data = NULL;
	snprintf(data_key, sizeof(data_key), "%s-data", key);
	int rc = pg_kube_path(e, key, &path, err);
	if (rc == 0)
		rc = pg_kube_text(e, data_key, &data, err);
	if (rc < 0)
		return rc;
	if (path && data)
		return pg_kube_bad(e, err, "%s and %s are both given; keep one", key, data_key);
	if (data)
		return decode_pem(e, data_key, data, out, err);
	rc = path ? pg_kube_pem_file(path, out, err) : 0;
	if (rc < 0)
		pg_wrap(err, "kubeconfig %s: %s '%s': %s", e->file->path, e->kind, e->name, key);
	return rc;
}
