#pragma once
#include <uv.h>

#include "injector/back_off.h"
#include "injector/child.h"
#include "injector/pod_job.h"
#include "injector/redirect.h"
#include "injector/redirect_run.h"
#include "injector/wants.h"
#include "proto/base/num.h"

/* One run of `redirect` on one pod, as the files that make it up see it: redirect_run.c is its
 * life, redirect_up.c how it gets up and comes back, redirect_say.c what it says. */
struct pg_run {
	struct pg_app *app;
	const struct pg_redirect_values *values;
	const struct pg_operands *ops;
	struct pg_pod_job job;
	struct pg_tunnel *tunnel;
	struct pg_tunnel_traffic before; /* in and out: of the tunnels before this one */
	struct pg_redirect_set *redirects;
	struct pg_child *child;
	struct pg_wants wants;
	uint8_t session[PG_SESSION_BYTES];
	char owner[PG_OWNER_MAX + 1];
	struct pg_redirect_manner manner;
	struct pg_redirect_scope scope;
	struct pg_quota calls; /* that are told of */
	char mechanism[32];
	struct pg_err lost; /* why the link is gone */
	bool is_lost;
	bool is_returning;           /* after a loss: it is not up yet */
	bool is_gone;                /* the target is not there any more */
	char noted[PG_NAME_MAX + 1]; /* uid of the pod that an event tells of us on; "": none */
	bool is_note_refused;
	struct pg_err over; /* why there is nothing left to serve, by the will of others; code 0 */
	struct pg_back_off back_off;
	unsigned returns;    /* how often the link came back */
	unsigned interrupts; /* signals since the redirect was up */
	int signo;
	bool leaving; /* a signal, or "-- CMD" has ended: give everything back */
	bool stirred; /* something that ends the current wait has happened */
	uv_timer_t status;
	struct pg_redirect_counts shown; /* by the last event "counts" */
};

/* ---- redirect_up.c ---- */

/* From the command line to r->wants and r->redirects. */
int pg_run_plan(struct pg_run *r, struct pg_err *err);

/* Grafts, links and arms everything that is wanted. */
int pg_run_link_up(struct pg_run *r, struct pg_err *err);

/* The link is lost, and the app serves its clients itself: comes back with everything as it was. 0
 * also when a signal ends the attempt. */
int pg_run_come_back(struct pg_run *r, struct pg_err *err);

/* Payload of all tunnels so far, and the round trip of the one that is up. */
struct pg_tunnel_traffic pg_run_traffic(const struct pg_run *r);

/* With --event: on each pod once. */
void pg_run_leave_note(struct pg_run *r);

/* ---- redirect_say.c ---- */

/* What now reaches what: when it is up (event "ready"), and when it is up again ("resumed"). */
void pg_run_say_up(struct pg_run *r, const char *event);

/* Somebody else has a port, and is tried again; and has it no more. `ctx` is the struct pg_run. */
void pg_run_say_held(void *ctx, const struct pg_redirect_want *want,
		     const struct pg_redirect_holder *holder);
void pg_run_say_freed(void *ctx, const struct pg_redirect_want *want);

/* The live line, which begins with `what`. */
void pg_run_show_status(struct pg_run *r, const char *what);

/* Who served whom, for programs; when it has changed. */
void pg_run_say_counts(struct pg_run *r);
void pg_run_say_ended(struct pg_run *r);

/* A closed local port is worth a word, never a failure: the program may start later. */
void pg_run_warn_if_closed(struct pg_run *r, const struct pg_redirect_want *w);

/* Probes that the local program will answer although nobody said so. */
void pg_run_warn_of_probes(struct pg_run *r, const struct pg_redirect_want *w);
