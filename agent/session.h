#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "agent/connections.h"
#include "agent/redirects.h"
#include "proto/wire/auth.h"
#include "proto/wire/msg.h"

/* One laptop and everything it started here. Its lanes carry the streams; when the last one is
 * gone, so are its redirects, of which a note stays (away.h) unless the laptop said goodbye. */
struct pg_session;

struct pg_session_config {
	struct pg_loop *loop;
	const struct pg_log *log;
	struct pg_redirects *redirects;
	struct pg_connections *connections;
	struct pg_pressure *pressure; /* hears of every lane */
	struct pg_pool *pool;         /* what the streams of all sessions may borrow */
	uint8_t id[PG_SESSION_BYTES];
	size_t max_streams;
	/* The laptop of `asker` wants everything of this agent to end, for `by`: tells the other
	 * sessions (pg_session_tell_undone()), ends it, and fills *undone, whose `by` is set. */
	void (*undo)(void *ctx, struct pg_session *asker, Podgraft__V1__Undone *undone);
	/* The session is over and everything of it undone; it frees itself after this call. */
	void (*ended)(void *ctx, struct pg_session *s);
	void *ctx;
};

/* NULL: out of memory. */
struct pg_session *pg_session_new(const struct pg_session_config *config);

/* Adds a lane over the socket `fd` (taken in any case). -ENOMEM, -EMFILE: too many lanes. */
int pg_session_lane(struct pg_session *s, int fd, const uint8_t *extra, size_t n);

/* Tells the laptop that the agent ends. */
void pg_session_tell_undone(struct pg_session *s, Podgraft__V1__Undone *undone);

/* Those that are open. */
int pg_session_lanes(const struct pg_session *s);

/* None of them was heard of for some seconds: they give way to new ones. */
bool pg_session_is_silent(const struct pg_session *s);

const uint8_t *pg_session_id(const struct pg_session *s);

/* Ends it: redirects stop, streams and lanes are reset. `ended` is not called. */
void pg_session_free(struct pg_session *s);
