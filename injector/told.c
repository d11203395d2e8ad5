#include "injector/told.h"

#include <errno.h>
#include <string.h>

#include "injector/kube_json.h"
#include "proto/base/num.h"

static enum pg_told_kind kind_of(const char *name)
{
	static const struct {
		const char *name;
		enum pg_told_kind kind;
	} kinds[] = {
		{ "ready", PG_TOLD_READY },
		{ "resumed", PG_TOLD_READY },
		{ "lost", PG_TOLD_LOST },
		{ "status", PG_TOLD_STATUS },
		{ "counts", PG_TOLD_COUNTS },
		{ "ended", PG_TOLD_ENDED },
		{ "warning", PG_TOLD_WARNING },
		{ "waiting", PG_TOLD_WAITING },
		{ "taken", PG_TOLD_TAKEN },
		{ "freed", PG_TOLD_FREED },
		{ "credential", PG_TOLD_CREDENTIAL },
	};
	for (size_t i = 0; i < PG_LEN(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].kind;
	return PG_TOLD_OTHER;
}

int pg_told_parse(const char *line, size_t n, struct pg_told *out)
{
	json_t *event = pg_json_parse(line, n, NULL);
	json_t *error = json_object_get(event, "error");
	const char *name = pg_json_str(event, "event");
	int rc = 0;
	if (name[0])
		*out = (struct pg_told){ kind_of(name), json_incref(event) };
	else if (json_is_object(error))
		*out = (struct pg_told){ PG_TOLD_ERROR, json_incref(error) };
	else
		rc = -EPROTO;
	json_decref(event);
	return rc;
}

json_int_t pg_told_count(const json_t *object, const char *key)
{
	int64_t n = pg_json_int(object, key, 0);
	return n < 0 ? 0 : n < PG_TOLD_MOST ? n : PG_TOLD_MOST;
}
