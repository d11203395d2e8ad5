#pragma once
/* Shared by redirects*.c only: the redirects from inside. */
#include <uv.h>

#include "agent/away.h"
#include "agent/intake.h"
#include "agent/looks.h"
#include "agent/redirects.h"
#include "proto/io/status_line.h"

enum { REDIRECTS_MAX = 256 };

/* One that is in the table no more, while the listeners' queues are emptied of what its rule took.
 */
struct redirects_leaving {
	struct pg_redirect rd;
	struct redirects_leaving *next; /* that was about to leave already; or NULL */
};

/* One that has ended, while nobody serves some of its connections yet. */
struct redirects_ended {
	struct pg_redirect rd;
	struct redirects_ended *next;
};

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
	struct redirects_leaving *leaving; /* on their callers' stacks */
	struct redirects_ended *ended;     /* owned */
	struct pg_away away;
	uint64_t away_ms; /* how long those are kept */
	struct pg_looks *looks;
	struct pg_intake *intake; /* NULL while there is no redirect */
	int shortage;             /* EMFILE or ENOMEM: parked, all but those of no_fallback; or 0 */
	uint32_t serials, armings;        /* given so far */
	unsigned lines;                   /* of the log, since what stands was said */
	struct pg_quota restored, failed; /* what is told of the rules */
	uv_timer_t renew, counts, last_counts, forget;
	int open_handles;
};

/* redirects.c */

bool redirects_is_at(const struct pg_redirect *rd, enum pg_direction direction, uint16_t port);

/* That of the table; NULL: none stands there. */
struct pg_redirect *redirects_find(struct pg_redirects *all, enum pg_direction direction,
				   uint16_t port);

/* redirects_arrive.c: connections */

/* The intake's `arrived`. */
void redirects_on_arrived(void *ctx, int fd, const struct sockaddr_storage *peer,
			  const struct sockaddr_storage *local, enum pg_direction direction);

/* A connection from the node has said what it is; its redirect may have gone meanwhile. */
void redirects_on_looked(void *ctx, const struct pg_look *look, struct pg_byteq *first,
			 bool is_probe);

/* Tells the owner, if there is anything new. */
void redirects_tell_counts(struct pg_redirect *rd);

/* redirects_ended.c: the last counts */

/* `rd` has ended: tells its owner of the counts, and again until all of them are known. */
void redirects_tell_last(struct pg_redirects *all, struct pg_redirect *rd);

/* That of the number `serial` that has ended; NULL: all is known of it. */
struct pg_redirect *redirects_find_ended(struct pg_redirects *all, uint32_t serial);

/* `ctx` does not want to know any more, or, when that is NULL, nobody does. */
void redirects_drop_ended(struct pg_redirects *all, const void *ctx);

/* The callback of `last_counts`. */
void redirects_on_last_counts(uv_timer_t *timer);

/* redirects_park.c */

/* Parks `rd`, or takes its port again, as its laptop and what is short would have it. -EBUSY:
 * another agent has its port; redirects_lose() is due. */
int redirects_settle(struct pg_redirects *all, struct pg_redirect *rd, struct pg_err *err);

/* The same, told in the log. */
enum redirects_settled { REDIRECTS_SETTLED, REDIRECTS_AS_BEFORE, REDIRECTS_LOST };
enum redirects_settled redirects_settle_or_log(struct pg_redirects *all, struct pg_redirect *rd);

/* redirects_end.c. After each of these no pointer into the table is good any more. */

/* Another has the port of `rd` now, for by->holder; with `is_told` its owner hears of it. */
void redirects_lose(struct pg_redirects *all, struct pg_redirect *rd, const struct pg_claim *by,
		    bool is_told);

/* The same for those that the rules have lost. */
void redirects_lose_taken(struct pg_redirects *all);

/* Removes the rule of `rd`, and `rd`. */
enum redirects_why { REDIRECTS_FOR_GOOD, REDIRECTS_LAPTOP_AWAY };
void redirects_remove(struct pg_redirects *all, struct pg_redirect *rd, enum redirects_why why);

/* The intake's `wanted`. */
void redirects_on_wanted(void *ctx);

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
