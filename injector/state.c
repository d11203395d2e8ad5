#include "injector/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "injector/state_dir.h"
#include "proto/base/mem.h"

#define FILE_NAME "state.json"

void pg_state_drop(struct pg_state *st, const char *uid, const char *container)
{
	size_t kept = 0;
	for (size_t i = 0; i < st->agent_count; i++) {
		const struct pg_state_agent *a = &st->agents[i];
		bool is_it = strcmp(a->uid, uid) == 0 && strcmp(a->container, container) == 0;
		if (!is_it && kept++ != i)
			st->agents[kept - 1] = *a;
	}
	st->agent_count = kept;
}

void pg_state_miss(struct pg_state *st, const char *uid, const char *container, int64_t now_s)
{
	for (size_t i = 0; i < st->agent_count; i++) {
		struct pg_state_agent *a = &st->agents[i];
		if (a->missed_s == 0 && strcmp(a->uid, uid) == 0 &&
		    strcmp(a->container, container) == 0)
			a->missed_s = now_s;
	}
}

void pg_state_reached(struct pg_state *st, const char *cluster)
{
	for (size_t i = 0; i < st->agent_count; i++)
		if (strcmp(st->agents[i].cluster, cluster) == 0)
			st->agents[i].missed_s = 0;
}

bool pg_state_is_lost(const struct pg_state_agent *agent, int64_t now_s)
{
	return agent->missed_s > 0 && now_s - agent->missed_s >= PG_STATE_MISSED_S;
}

void pg_state_put(struct pg_state *st, const struct pg_state_agent *agent)
{
	pg_state_drop(st, agent->uid, agent->container);
	if (st->agent_count == PG_STATE_AGENTS)
		memmove(st->agents, st->agents + 1, --st->agent_count * sizeof(st->agents[0]));
	st->agents[st->agent_count++] = *agent;
}

void pg_state_refuse(struct pg_state *st, const struct pg_state_refusal *refusal)
{
	size_t kept = 0;
	for (size_t i = 0; i < st->refusal_count; i++) {
		const struct pg_state_refusal *r = &st->refusals[i];
		bool is_it = strcmp(r->cluster, refusal->cluster) == 0 &&
			     strcmp(r->transport, refusal->transport) == 0;
		if (!is_it && kept++ != i)
			st->refusals[kept - 1] = *r;
	}
	st->refusal_count = kept;
	if (st->refusal_count == PG_STATE_REFUSALS)
		memmove(st->refusals, st->refusals + 1,
			--st->refusal_count * sizeof(st->refusals[0]));
	st->refusals[st->refusal_count++] = *refusal;
}

bool pg_state_refuses(const struct pg_state *st, const char *cluster, const char *transport,
		      int64_t now_s)
{
	for (size_t i = 0; i < st->refusal_count; i++) {
		const struct pg_state_refusal *r = &st->refusals[i];
		/* One that lasts longer was noted by a clock that was wrong. */
		if (strcmp(r->cluster, cluster) == 0 && strcmp(r->transport, transport) == 0 &&
		    now_s < r->until_s && r->until_s - now_s <= PG_STATE_REFUSED_S)
			return true;
	}
	return false;
}

/* Fills *out from the file: 0, also when there is none; -EINVAL: bad content. */
static int read_state(const char *dir, struct pg_state *out, struct pg_err *err)
{
	char *text = NULL;
	size_t n = 0;
	memset(out, 0, sizeof(*out));
	int rc = pg_state_read(dir, FILE_NAME, PG_STATE_BYTES, &text, &n, err);
	if (rc == -ENOENT)
		return 0;
	if (rc == 0)
		rc = pg_state_parse(text, n, out);
	free(text);
	return rc == -EFBIG ? -EINVAL : rc;
}

struct pg_state *pg_state_load(const char *dir, const struct pg_log *log)
{
	struct pg_err err = { .code = 0 };
	struct pg_state *st = pg_calloc(1, sizeof(*st));
	int rc = st ? read_state(dir, st, &err) : 0;
	if (rc == -EINVAL)
		pg_log(log, PG_WARN, "%s/" FILE_NAME " is damaged; starting afresh", dir);
	else if (rc < 0)
		pg_log(log, PG_WARN, "%s; starting without it (%s)", err.what, err.hint);
	return st;
}

/* Keeps a damaged file for whoever wants to look. */
static void set_aside(const char *dir, const struct pg_log *log)
{
	pg_auto_free char *from = pg_asprintf("%s/" FILE_NAME, dir);
	pg_auto_free char *to =
		pg_asprintf("%s/" FILE_NAME ".bad-%lld", dir, (long long)time(NULL));
	if (from && to && rename(from, to) == 0)
		pg_log(log, PG_WARN, "the damaged record of agents is kept as %s", to);
}

static int write_state(const char *dir, const struct pg_state *st, struct pg_err *err)
{
	struct pg_buf text = PG_BUF_INIT(PG_STATE_BYTES);
	int rc = pg_state_format(st, &text);
	rc = rc < 0 ? pg_fail(err, rc, "write " FILE_NAME)
		    : pg_state_write(dir, FILE_NAME, text.data, text.len, err);
	pg_buf_fini(&text);
	return rc;
}

int pg_state_change(const char *dir, void (*change)(void *ctx, struct pg_state *st), void *ctx,
		    const struct pg_log *log, struct pg_err *err)
{
	pg_auto_free struct pg_state *st = pg_calloc(1, sizeof(*st));
	if (!st)
		return pg_fail(err, -ENOMEM, "write " FILE_NAME);
	pg_auto_close int lock = pg_state_lock(dir, err);
	if (lock < 0)
		return lock;
	int rc = read_state(dir, st, err);
	if (rc == -EINVAL)
		set_aside(dir, log);
	else if (rc < 0)
		return rc;
	change(ctx, st);
	return write_state(dir, st, err);
}
