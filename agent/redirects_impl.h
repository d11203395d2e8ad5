#pragma once
/* Shared by redirects*.c only: the redirects from inside. */
#include <uv.h>

#include "agent/away.h"
#include "agent/intake.h"
#include "agent/looks.h"
#include "agent/redirects.h"
#include "proto/io/status_line.h"

enum { REDIRECTS_MAX = 256 };

struct pg_redirects {
	struct pg_loop *loop;
	const struct pg_log *log;
	const char *tag;
	bool disowned;
	bool is_ending; /* none starts any more */
	struct pg_pressure *pressure;
	struct pg_redirect orphans; /* for what a rule took just before it went */
	struct pg_redirect table[REDIRECTS_MAX];
	size_t count;
	struct pg_away away;
	uint64_t away_ms; /* how long those are kept */
	struct pg_looks *looks;
	struct pg_intake *intake; /* NULL while there is no redirect */
	int shortage;             /* EMFILE or ENOMEM: parked, all but those of no_fallback; or 0 */
	uint32_t serials, armings;       /* given so far */
	unsigned lines;                  /* of the log, since what stands was said */
	struct pg_rate restored, failed; /* what is told of the rules */
	uv_timer_t renew, counts, forget;
	int open_handles;
};

/* redirects_say.c: the lines of the log that `podgraft status` reads */

/* What happened to `rd`, and how or why. */
void redirects_say(struct pg_redirects *all, const struct pg_redirect *rd,
		   enum pg_status_event event, const char *note);
void redirects_say_parked(struct pg_redirects *all, const struct pg_redirect *rd);

/* `holder` has its port now. */
void redirects_say_taken(struct pg_redirects *all, const struct pg_redirect *rd,
			 const char *holder);

/* Its laptop is away; and will not be expected any more, for the reason `note`. */
void redirects_say_away(struct pg_redirects *all, const struct pg_away_redirect *away);
void redirects_say_forgotten(struct pg_redirects *all, const struct pg_away_redirect *away,
			     const char *note);

/* redirects_away.c: redirects whose laptop is away */

/* `rd`, whose rule has just gone, is one of them. */
void redirects_away_add(struct pg_redirects *all, const struct pg_redirect *rd);

/* Forgets all of them, for good. */
void redirects_away_clear(struct pg_redirects *all);

/* The callback of `forget`. */
void redirects_away_on_forget(uv_timer_t *timer);
