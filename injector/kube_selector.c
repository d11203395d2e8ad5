#include "injector/kube_selector.h"

#include <errno.h>
#include <string.h>

#include "injector/kube_json.h"
#include "proto/base/auto.h"

/* Requirements are joined by commas. */
static int add(struct pg_buf *out, const char *key, const char *op, const char *value)
{
	return pg_buf_addf(out, "%s%s%s%s", out->len > 0 ? "," : "", key, op, value);
}

static int add_labels(const json_t *labels, struct pg_buf *out)
{
	const char *key;
	json_t *value;
	int rc = 0;
	json_object_foreach((json_t *)(uintptr_t)labels, key, value)
	{
		const char *text = json_string_value(value);
		if (rc == 0)
			rc = text ? add(out, key, "=", text) : -EPROTO;
	}
	return rc;
}

/* "in" and "notin": the values in brackets. */
static int add_set(const json_t *values, const char *key, const char *op, struct pg_buf *out)
{
	int rc = add(out, key, op, "(");
	for (size_t i = 0; i < json_array_size(values) && rc == 0; i++) {
		const char *text = json_string_value(json_array_get(values, i));
		rc = text ? pg_buf_addf(out, "%s%s", i > 0 ? "," : "", text) : -EPROTO;
	}
	return rc == 0 ? pg_buf_add_str(out, ")") : rc;
}

static int add_expression(const json_t *e, struct pg_buf *out)
{
	const char *key = pg_json_str(e, "key"), *op = pg_json_str(e, "operator");
	const json_t *values = pg_json_at(e, "values");
	if (!key[0])
		return -EPROTO;
	if (strcmp(op, "In") == 0)
		return add_set(values, key, " in ", out);
	if (strcmp(op, "NotIn") == 0)
		return add_set(values, key, " notin ", out);
	if (strcmp(op, "Exists") == 0)
		return add(out, key, "", "");
	if (strcmp(op, "DoesNotExist") == 0)
		return add(out, "!", key, "");
	return -EPROTO;
}

int pg_kube_selector_object(const json_t *selector, struct pg_buf *out)
{
	const json_t *list = pg_json_at(selector, "matchExpressions");
	if (!json_is_object(selector))
		return -ENOENT;
	int rc = add_labels(pg_json_at(selector, "matchLabels"), out);
	for (size_t i = 0; i < json_array_size(list) && rc == 0; i++)
		rc = add_expression(json_array_get(list, i), out);
	return rc;
}

int pg_kube_selector_map(const json_t *selector, struct pg_buf *out)
{
	if (json_object_size(selector) == 0)
		return -ENOENT;
	return add_labels(selector, out);
}
