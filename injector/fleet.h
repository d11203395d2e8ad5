#pragma once
#include "injector/post.h"

/* The pods of --all-pods: those that come are redirected, each by a podgraft of our own, which
 * shares nothing with the others but its user; those that go are let go; one that fails is tried
 * again where that may help. What they are together is told in one line. */

enum { PG_FLEET_MAX = 256 }; /* pods at a time; further ones are left alone until others go */

struct pg_fleet { /* read-only outside; must not move */
	struct pg_app *app;
	struct pg_post_config config;
	struct pg_news news;
	struct pg_post *posts[PG_FLEET_MAX];
	size_t count;
	struct pg_pod_change *queue; /* pods that could be redirected, and are not yet */
	size_t queued, queue_room;
	size_t left_alone;        /* of them: there is no room */
	struct pg_post_sums gone; /* of pods that are no more */
	size_t told_up, told_pods, told_left;
	struct pg_quota warnings; /* of pods that are left alone */
	uint64_t idle_ms;         /* since when there is nothing to hope for; 0: there is */
	bool was_up;              /* some pod was redirected */
	bool leaving;             /* nobody is started any more */
	bool stirred;             /* a member has ended; reset by whoever waits for it */
};

/* `app` is borrowed. */
void pg_fleet_init(struct pg_fleet *f, struct pg_app *app);

/* What has become of a pod. A new one waits for pg_fleet_fill(). */
int pg_fleet_take(struct pg_fleet *f, const struct pg_pod_change *change, struct pg_err *err);

/* Starts on those that wait, as long as there is room; if there is not enough, that is told first.
 * To be called when all that is known of the pods has been taken. */
int pg_fleet_fill(struct pg_fleet *f, struct pg_err *err);

/* The pod of that uid, until it has gone; NULL: there is none. */
struct pg_post *pg_fleet_find(struct pg_fleet *f, const char *uid);

/* How many are redirected; are so or have failed; have a podgraft that runs. */
size_t pg_fleet_up(const struct pg_fleet *f);
size_t pg_fleet_settled(const struct pg_fleet *f);
size_t pg_fleet_members(const struct pg_fleet *f);

/* To be called twice a second: starts again what is due, and tells what is to be told. Fails, in
 * the words of one of them, when no pod could be redirected, or when for ten seconds there is none
 * left that may ever be again. */
int pg_fleet_tick(struct pg_fleet *f, struct pg_err *err);

/* The live line, which begins with `what`, and in JSON an event when their number has changed. */
void pg_fleet_show(struct pg_fleet *f, const char *what);

/* Nobody is started from here on, and each member that runs gets `signo`. */
void pg_fleet_leave(struct pg_fleet *f, int signo);

/* Without a member that runs. f->gone then counts all. */
void pg_fleet_fini(struct pg_fleet *f);

/* After that: the event "ended", as it is of one pod. */
void pg_fleet_say_ended(struct pg_fleet *f);
