#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "injector/platform.h"
#include "proto/base/buf.h"
#include "proto/base/log.h"

/* What podgraft remembers between commands, in state.json of the state folder: the agents that this
 * person grafted (only those are ever used again), and transports that a cluster refused lately. */

enum {
	PG_STATE_AGENTS = 256,
	PG_STATE_REFUSALS = 32,
	PG_STATE_BYTES = 1 << 20,
	PG_STATE_REFUSED_S = 24 * 60 * 60, /* how long a refusal counts */
	/* An agent whose cluster has been out of reach for so long is taken for gone: without a
	 * session it ends by itself, long before. */
	PG_STATE_MISSED_S = 7 * 24 * 60 * 60,
};

struct pg_state_agent {
	char cluster[512];         /* the API server's URL */
	char uid[PG_NAME_MAX + 1]; /* of the pod */
	char ns[PG_NAME_MAX + 1];  /* where it is; "" in old records, as its name */
	char pod[254];
	char container[PG_NAME_MAX + 1]; /* the agent's */
	char image[512];
	enum pg_profile profile;
	uint16_t
		port; /* of its control API; 0: it was asked for, and has not been seen to listen */
	uint8_t agent_key[PG_KEY_BYTES];
	int64_t created_s; /* Unix time */
	int64_t missed_s;  /* since when its cluster has not been reached to end it; 0: it has */
};

struct pg_state_refusal {
	char cluster[512];
	char transport[16]; /* "spdy", "tunnel" */
	int64_t until_s;    /* Unix time at which it is worth another try */
};

struct pg_state {                                      /* some 330 KiB: on the heap */
	struct pg_state_agent agents[PG_STATE_AGENTS]; /* oldest first */
	size_t agent_count;
	struct pg_state_refusal refusals[PG_STATE_REFUSALS]; /* oldest first */
	size_t refusal_count;
};

/* The file's text. Parsing returns -EINVAL, and leaves *out empty, for anything that formatting
 * cannot have written. Formatting: 0, -ENOMEM, -ENOBUFS. Pure. */
int pg_state_parse(const char *text, size_t n, struct pg_state *out);
int pg_state_format(const struct pg_state *st, struct pg_buf *out);

/* Remembers an agent, as the newest; the oldest goes when there is no room. Pure, as are those
 * below. */
void pg_state_put(struct pg_state *st, const struct pg_state_agent *agent);
void pg_state_drop(struct pg_state *st, const char *uid, const char *container);
void pg_state_refuse(struct pg_state *st, const struct pg_state_refusal *refusal);
/* Since when its cluster cannot be reached; nothing when that is known already, or it is not there.
 */
void pg_state_miss(struct pg_state *st, const char *uid, const char *container, int64_t now_s);
/* The cluster has answered: none of its agents is missed from here on. */
void pg_state_reached(struct pg_state *st, const char *cluster);
/* True when its cluster has not been reached for PG_STATE_MISSED_S. */
bool pg_state_is_lost(const struct pg_state_agent *agent, int64_t now_s);
bool pg_state_refuses(const struct pg_state *st, const char *cluster, const char *transport,
		      int64_t now_s);

/* Reads the state of `dir`; a missing file is an empty state, and so is a bad one, with a warning.
 * NULL only when memory is out. The caller frees it with free(). */
struct pg_state *pg_state_load(const char *dir, const struct pg_log *log);

/* Changes the state on disk under the lock, so that two commands at once lose nothing of each
 * other. A file with bad content is kept aside as state.json.bad-TIME. */
int pg_state_change(const char *dir, void (*change)(void *ctx, struct pg_state *st), void *ctx,
		    const struct pg_log *log, struct pg_err *err);
