#include "injector/kube_json.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

json_t *pg_json_parse(const char *text, size_t n, struct pg_err *err)
{
	json_error_t why;
	json_t *v = json_loadb(text, n, JSON_ALLOW_NUL, &why);
	if (!v)
		pg_fail(err, -EPROTO, "the server's answer is no JSON: %s at byte %d", why.text,
			why.position);
	return v;
}

json_t *pg_json_at(const json_t *o, const char *path)
{
	const json_t *v = o;
	while (v && *path) {
		size_t n = strcspn(path, ".");
		char key[64];
		assert(n < sizeof(key));
		memcpy(key, path, n);
		key[n] = '\0';
		v = json_object_get(v, key);
		path += n + (path[n] == '.');
	}
	return v && !json_is_null(v) ? (json_t *)(uintptr_t)v : NULL;
}

const char *pg_json_str(const json_t *o, const char *path)
{
	const char *s = json_string_value(pg_json_at(o, path));
	return s ? s : "";
}

int64_t pg_json_int(const json_t *o, const char *path, int64_t absent)
{
	const json_t *v = pg_json_at(o, path);
	return json_is_integer(v) ? (int64_t)json_integer_value(v) : absent;
}

bool pg_json_true(const json_t *o, const char *path)
{
	return json_is_true(pg_json_at(o, path));
}

bool pg_json_copy(const json_t *o, const char *path, char *out, size_t room)
{
	const char *s = pg_json_str(o, path);
	size_t n = strlen(s);
	out[0] = '\0';
	if (n == 0 || n >= room)
		return false;
	memcpy(out, s, n + 1);
	pg_sanitize(out);
	return true;
}

json_t *pg_json_find(const json_t *o, const char *path, const char *key, const char *value)
{
	const json_t *array = pg_json_at(o, path);
	for (size_t i = 0; i < json_array_size(array); i++) {
		json_t *element = json_array_get(array, i);
		if (strcmp(pg_json_str(element, key), value) == 0)
			return element;
	}
	return NULL;
}
