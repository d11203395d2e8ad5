#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/mux/sched.h"

/* The one libuv loop of a process, its signals, and the waits of straight-line code. */
struct pg_loop;
struct uv_loop_s;

/* NULL with *err set: out of memory or descriptors. SIGPIPE is ignored from here on. */
struct pg_loop *pg_loop_new(struct pg_err *err);

/* Runs until every handle has closed, then frees. Handles that nobody closes are a fault of ours
 * (asserted). */
void pg_loop_free(struct pg_loop *l);

/* Lets this process have as many descriptors as it may (at most 65536; shells and systemd start
 * programs with 1024, for the sake of select(2)), and `false` puts back what it started with: for
 * the moment in which a program is started that inherits the limit. Descriptors that are open stay.
 */
void pg_loop_many_files(struct pg_loop *l, bool on);

struct uv_loop_s *pg_loop_uv(struct pg_loop *l);

/* The loop's clock, of the turn's start. */
uint64_t pg_loop_now_ms(const struct pg_loop *l);
uint64_t pg_now_us(void); /* of this moment, monotonic */

/* Something to be done once. It lies in its owner, who fills in `run` and `ctx` and zeros the rest.
 * A task is for one of the two queues below. */
struct pg_task {
	struct pg_turn turn; /* first */
	void (*run)(void *ctx);
	void *ctx;
};

/* Runs `task` after what is being handled and before the loop sleeps (once, however often this is
 * called until then), or does not any more. */
void pg_loop_soon(struct pg_loop *l, struct pg_task *task);
void pg_loop_not_soon(struct pg_loop *l, struct pg_task *task);

/* The same for straight-line code: it is run inside pg_loop_serve(), and may wait. */
void pg_loop_job(struct pg_loop *l, struct pg_task *task);
void pg_loop_no_job(struct pg_loop *l, struct pg_task *task);

/* Calls `on_signal` for SIGINT, SIGTERM and SIGHUP from the loop; NULL stops that. */
void pg_loop_on_signal(struct pg_loop *l, void (*on_signal)(void *ctx, int signo), void *ctx);

/* Straight-line code waits here while the loop runs: until *done is true (0), `deadline_ms` of
 * pg_loop_now_ms() has come (-ETIMEDOUT; UINT64_MAX: never), or pg_loop_interrupt() was called
 * (-ECANCELED). Not to be called from a callback of the loop. */
int pg_loop_wait(struct pg_loop *l, const bool *done, uint64_t deadline_ms);

/* The wait of a command that is up, for what ends it: meanwhile jobs are run, one at a time. Their
 * own waits end with -ECANCELED once *done is true. 0, or -ECANCELED. */
int pg_loop_serve(struct pg_loop *l, const bool *done);

/* Every wait, the running one and later ones, ends with -ECANCELED until `on` is false again. */
void pg_loop_interrupt(struct pg_loop *l, bool on);

/* Called in every wait that has lasted a second, and each second after: what is being waited for
 * is the caller's to know. NULL stops that. */
void pg_loop_on_slow(struct pg_loop *l, void (*on_slow)(void *ctx, uint64_t waited_ms), void *ctx);

/* The waits from here on, until `on` is false, are one to pg_loop_on_slow(): of code that tries
 * again after short pauses. Not to be nested. */
void pg_loop_one_wait(struct pg_loop *l, bool on);
