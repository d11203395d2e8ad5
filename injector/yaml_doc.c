#include "injector/yaml_doc.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <yaml.h>

struct reader {
	yaml_parser_t parser;
	json_t *anchors; /* name to [value, nodes] */
	size_t nodes;
	struct pg_err *err;
};

static int read_node(struct reader *r, const yaml_event_t *first, unsigned depth, json_t **out);

static int fail_here(struct reader *r, const yaml_mark_t *mark, const char *what)
{
	return pg_fail(r->err, -EINVAL, "line %zu: %s", mark->line + 1, what);
}

/* The next event, which the caller deletes. */
static int next_event(struct reader *r, yaml_event_t *ev)
{
	if (yaml_parser_parse(&r->parser, ev))
		return 0;
	if (r->parser.error == YAML_MEMORY_ERROR)
		return pg_fail(r->err, -ENOMEM, "parse YAML");
	return fail_here(r, &r->parser.problem_mark,
			 r->parser.problem ? r->parser.problem : "no valid YAML");
}

static bool is_word(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

/* A plain scalar by the rules of YAML 1.1 that kubectl's parser applies. */
static json_t *plain_value(const char *text, size_t n)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const yes[] = { "true", "True", "TRUE", "yes", "Yes",
					   "YES",  "on",   "On",   "ON",  NULL };
	static const char *const no[] = { "false", "False", "FALSE", "no",  "No",
					  "NO",    "off",   "Off",   "OFF", NULL };
	if (is_word(text, nulls))
		return json_null();
	if (is_word(text, yes))
		return json_true();
	if (is_word(text, no))
		return json_false();
	if (text[0] == '-' || (text[0] >= '0' && text[0] <= '9')) {
		json_t *number = json_loadb(text, n, JSON_DECODE_ANY, NULL);
		if (number)
			return number;
	}
	return json_stringn(text, n);
}

/* NUL, which only an escape can bring, would end the text early for whoever reads it in C. */
static int read_scalar(struct reader *r, const yaml_event_t *ev, json_t **out)
{
	const char *text = (const char *)ev->data.scalar.value;
	size_t n = ev->data.scalar.length;
	if (strlen(text) != n)
		return fail_here(r, &ev->start_mark, "a text with a NUL in it");
	*out = ev->data.scalar.plain_implicit ? plain_value(text, n) : json_stringn(text, n);
	return 0;
}

static int read_alias(struct reader *r, const yaml_event_t *ev, json_t **out)
{
	json_t *known = json_object_get(r->anchors, (const char *)ev->data.alias.anchor);
	if (!known)
		return fail_here(r, &ev->start_mark, "an alias without its anchor before it");
	r->nodes += (size_t)json_integer_value(json_array_get(known, 1));
	*out = json_incref(json_array_get(known, 0));
	return 0;
}

static int read_sequence(struct reader *r, unsigned depth, json_t *array)
{
	for (;;) {
		yaml_event_t ev;
		int rc = next_event(r, &ev);
		if (rc < 0)
			return rc;
		if (ev.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&ev);
			return 0;
		}
		json_t *item = NULL;
		rc = read_node(r, &ev, depth, &item);
		yaml_event_delete(&ev);
		if (rc < 0)
			return rc;
		if (json_array_append_new(array, item) < 0)
			return pg_fail(r->err, -ENOMEM, "parse YAML");
	}
}

/* Puts `value` (taken) under `key`; "<<" merges what is not there yet. The last of two equal keys
 * wins, as with kubectl. */
static int put_member(struct reader *r, json_t *object, const yaml_event_t *key, json_t *value)
{
	const char *name = (const char *)key->data.scalar.value;
	int rc;
	if (key->data.scalar.plain_implicit && strcmp(name, "<<") == 0) {
		rc = json_object_update_missing(object, value);
		json_decref(value);
		return rc < 0 ? fail_here(r, &key->start_mark, "'<<' needs a mapping") : 0;
	}
	rc = json_object_set_new(object, name, value);
	return rc < 0 ? pg_fail(r->err, -ENOMEM, "parse YAML") : 0;
}

static int read_member(struct reader *r, const yaml_event_t *key, unsigned depth, json_t *object)
{
	if (key->type != YAML_SCALAR_EVENT ||
	    strlen((const char *)key->data.scalar.value) != key->data.scalar.length)
		return fail_here(r, &key->start_mark, "a key must be text");
	yaml_event_t ev;
	int rc = next_event(r, &ev);
	if (rc < 0)
		return rc;
	json_t *value = NULL;
	rc = read_node(r, &ev, depth, &value);
	yaml_event_delete(&ev);
	return rc < 0 ? rc : put_member(r, object, key, value);
}

static int read_mapping(struct reader *r, unsigned depth, json_t *object)
{
	for (;;) {
		yaml_event_t key;
		int rc = next_event(r, &key);
		if (rc < 0)
			return rc;
		bool end = key.type == YAML_MAPPING_END_EVENT;
		if (!end)
			rc = read_member(r, &key, depth, object);
		yaml_event_delete(&key);
		if (end || rc < 0)
			return rc;
	}
}

/* Remembers a finished value under its anchor, so that no alias can point into itself. */
static int remember(struct reader *r, const unsigned char *anchor, json_t *value, size_t nodes)
{
	if (!anchor)
		return 0;
	json_t *pair = json_pack("[O, I]", value, (json_int_t)nodes);
	if (json_object_set_new(r->anchors, (const char *)anchor, pair) < 0)
		return pg_fail(r->err, -ENOMEM, "parse YAML");
	return 0;
}

/* The value that begins with `first`, which stays the caller's. */
static int read_node(struct reader *r, const yaml_event_t *first, unsigned depth, json_t **out)
{
	size_t before = r->nodes++;
	const unsigned char *anchor = NULL;
	json_t *value = NULL;
	int rc = 0;
	if (depth == 0)
		return pg_fail(r->err, -E2BIG, "line %zu: nested too deeply.",
			       first->start_mark.line + 1);
	if (first->type == YAML_ALIAS_EVENT) {
		rc = read_alias(r, first, &value);
	} else if (first->type == YAML_SCALAR_EVENT) {
		anchor = first->data.scalar.anchor;
		rc = read_scalar(r, first, &value);
	} else if (first->type == YAML_SEQUENCE_START_EVENT) {
		anchor = first->data.sequence_start.anchor;
		value = json_array();
		rc = value ? read_sequence(r, depth - 1, value) : 0;
	} else {
		anchor = first->data.mapping_start.anchor;
		value = json_object();
		rc = value ? read_mapping(r, depth - 1, value) : 0;
	}
	if (rc == 0 && !value)
		rc = pg_fail(r->err, -ENOMEM, "parse YAML");
	if (rc == 0 && r->nodes > PG_YAML_NODES_MAX)
		rc = pg_fail(r->err, -E2BIG, "line %zu: too many values.",
			     first->start_mark.line + 1);
	if (rc == 0)
		rc = remember(r, anchor, value, r->nodes - before);
	if (rc < 0)
		json_decref(value);
	else
		*out = value;
	return rc;
}

/* Skips to the first document's first event and reads from there. */
static int read_document(struct reader *r, json_t **out)
{
	for (;;) {
		yaml_event_t ev;
		int rc = next_event(r, &ev);
		if (rc < 0)
			return rc;
		yaml_event_type_t type = ev.type;
		bool is_content = type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT ||
				  type == YAML_MAPPING_START_EVENT || type == YAML_ALIAS_EVENT;
		if (is_content)
			rc = read_node(r, &ev, PG_YAML_DEPTH_MAX, out);
		yaml_event_delete(&ev);
		if (is_content || type == YAML_STREAM_END_EVENT)
			return rc;
	}
}

static int parse_yaml(const char *text, size_t n, json_t **out, struct pg_err *err)
{
	struct reader r = { .anchors = json_object(), .err = err };
	if (!r.anchors || !yaml_parser_initialize(&r.parser)) {
		json_decref(r.anchors);
		return pg_fail(err, -ENOMEM, "parse YAML");
	}
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
	int rc = read_document(&r, out);
	yaml_parser_delete(&r.parser);
	json_decref(r.anchors);
	return rc;
}

int pg_yaml_parse(const char *text, size_t n, json_t **out, struct pg_err *err)
{
	json_t *value = NULL;
	/* libyaml reads nearly all JSON, but not surrogate pairs: jansson first. */
	if (n > 0 && text[0] == '{')
		value = json_loadb(text, n, 0, NULL);
	if (!value) {
		int rc = parse_yaml(text, n, &value, err);
		if (rc < 0)
			return rc;
	}
	*out = value;
	return 0;
}
