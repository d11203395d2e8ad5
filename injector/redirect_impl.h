#pragma once
#include <uv.h>

#include "injector/probe.h"
#include "injector/redirect.h"
#include "proto/base/num.h"
#include "proto/wire/auth.h"

/* The redirects of one command, as the files that make them up see them: redirect.c has their
 * connections, redirect_arm.c brings them into the pod and back, redirect_told.c hears what becomes
 * of them there. */

enum {
	PG_REDIRECTS_MAX = 256,
	PG_REDIRECT_SAY_MS = 10000, /* in this time one refusal is told, and a few parkings */
};

/* The most that an agent is believed to have counted: what JSON's numbers hold exactly. */
#define PG_REDIRECT_COUNT_MAX (1ull << 53)

struct pg_redirect_entry {
	struct pg_redirect_set *all;
	struct pg_redirect_want want;
	bool armed;
	bool was_armed;         /* once: what it is taken from later is not taken back */
	bool taken;             /* somebody else has the port: it is not armed again */
	bool held;              /* somebody else had the port first: it is tried again */
	bool is_held_told;      /* ... and the person knows */
	bool limited;           /* we had no descriptor or memory for its last connection */
	struct pg_probe *probe; /* while parked: waits for somebody to listen here */
	int short_of;           /* EMFILE or ENOMEM: parked, for the agent is short of it; or 0 */
	struct pg_redirect_holder holder; /* while held */
	struct pg_redirect_counts told;   /* laptop, app, probes: of the agent's counting ... */
	uint32_t counting;                /* ... of this number; 0: of none */
	uint32_t undecided; /* connections that nobody serves yet, as the agent said last */
};

struct pg_redirect_connection;

struct pg_redirect_set {
	struct pg_loop *loop;
	const struct pg_log *log;
	const struct pg_redirect_manner *manner;
	struct pg_tunnel *tunnel; /* of the last arming; for probes and for ports that are held */
	struct pg_redirect_entry entries[PG_REDIRECTS_MAX]; /* a redirect's id is its index + 1 */
	size_t count;
	struct pg_redirect_connection *first;
	struct pg_redirect_counts counts;
	struct pg_quota refusals, parkings; /* what a client or an agent can make us say at will */
	uv_timer_t again;                   /* tries what is held */
	uint64_t again_ms;                  /* its last wait */
	uint8_t agent[PG_KEY_BYTES];        /* the key of the one that was armed at last */
	bool was_up;                        /* something has been armed once */
	bool is_over;                       /* all was given back: nothing is armed any more */
};

/* The message that arms `e`, over its number. */
struct pg_redirect_start;
void pg_redirect_entry_start(const struct pg_redirect_entry *e, struct pg_redirect_start *out);

/* What the agent says of who has the port. */
void pg_redirect_holder_read(const Podgraft__V1__RedirectStatus *st,
			     struct pg_redirect_holder *out);

/* The port that was held is ours. */
void pg_redirect_entry_freed(struct pg_redirect_entry *e);

/* What was told of it stays; from here on another counting is. */
void pg_redirect_entry_settle(struct pg_redirect_entry *e);

void pg_redirect_entry_stop_probing(struct pg_redirect_entry *e);
