#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "injector/proxy_protocol.h"
#include "injector/tunnel.h"
#include "proto/base/log.h"
#include "proto/io/network.h"
#include "proto/wire/msg.h"

/* The laptop's half of the redirects of a command: which port of the pod goes where, and the
 * connections on their way there. */
struct pg_redirect_set;

struct pg_redirect_want {
	bool outgoing; /* the pod's own connections to that port of others */
	uint16_t pod_port;
	struct sockaddr_storage local; /* where its connections go on this machine */
};

/* "" or "outgoing ", as messages say it before "port 80". */
const char *pg_redirect_word(const struct pg_redirect_want *want);

struct pg_redirect_counts {
	uint64_t total, refused; /* connections so far; those that the local side did not take */
	uint64_t laptop, app, probes; /* as the agents say: who served connections; app and probes
				       * never came here */
	uint64_t bytes_in, bytes_out; /* from the pod, to the pod; of connections that have ended */
	size_t open;
	size_t redirects; /* that were added */
	size_t parked;    /* of them: the app's for now */
	size_t taken;     /* of them: somebody else took the port over */
	size_t held;      /* of them: somebody else had the port first; tried again */
	size_t undecided; /* once all is given back: connections in the pod that nobody serves yet,
			     so that laptop, app and probes are not all that there is to know */
};

/* Which of the pod's own connections outgoing redirects take. */
struct pg_redirect_scope {
	struct pg_network to[PG_NETWORKS_MAX]; /* only those to these; none: to anybody */
	size_t to_count;
	bool only_uid; /* only those of the user `uid` of the pod */
	uint32_t uid;
};

/* Who redirects a port that we want. */
struct pg_redirect_holder {
	char by[PG_OWNER_MAX + 1]; /* clean to print; "somebody else" when nobody knows */
	int64_t since_s;           /* Unix time; 0: not told */
	bool is_own;               /* a podgraft of the same person's */
};

/* " since 2026-11-22 16:20:13", of the local time; "" for 0. */
enum { PG_SINCE_MAX = 40 };
void pg_redirect_since(int64_t since_s, char out[PG_SINCE_MAX]);

/* What all redirects of one command have in common. */
struct pg_redirect_manner {
	bool no_local;     /* leave connections from inside the pod alone */
	bool no_fallback;  /* what nobody answers here is reset instead of given to the app */
	bool take_over;    /* from whoever has the port when it is first armed */
	const char *owner; /* shown to others who want the same port: "ann@laptop" */
	/* Whose probes reach the app instead, borrowed; NULL: nobody's. */
	const struct pg_pod_probes *probes;
	bool wire;                   /* mesh pods: the leg as sent instead of the plaintext one */
	enum pg_proxy_version proxy; /* how the local program is told who calls */
	const struct pg_redirect_scope *scope;
	/* A connection from `peer` that was going to `local`; NULL: nobody asks. */
	void (*opened)(void *ctx, const struct pg_redirect_want *want,
		       const struct sockaddr_storage *peer, const struct sockaddr_storage *local);
	/* Somebody else has taken a port over: its redirect is over, its connections go on. */
	void (*taken)(void *ctx, const struct pg_redirect_want *want, const char *by);
	/* Somebody else has a port, which is tried again until it is free; and it is. */
	void (*held)(void *ctx, const struct pg_redirect_want *want,
		     const struct pg_redirect_holder *holder);
	void (*freed)(void *ctx, const struct pg_redirect_want *want);
	void *ctx;
};

/* `log` and `manner` are borrowed. NULL: out of memory. */
struct pg_redirect_set *pg_redirect_set_new(struct pg_loop *loop, const struct pg_log *log,
					    const struct pg_redirect_manner *manner);

/* Resets what is open. */
void pg_redirect_set_free(struct pg_redirect_set *r);

/* Adds one, which waits to be armed. -ENOSPC: too many. */
int pg_redirect_set_add(struct pg_redirect_set *r, const struct pg_redirect_want *want,
			struct pg_err *err);

/* What the redirect that was added as number `i` (from 0) is for, from its next arming on. */
void pg_redirect_set_replan(struct pg_redirect_set *r, size_t i,
			    const struct pg_redirect_want *want);

/* Arms over the tunnel what is not armed: 0, and *mechanism_out (32 bytes) is "tproxy" or "nat"; or
 * what the agent said, in words, with a hint. A port that somebody else has is no failure (see
 * `held`), unless it is the first time and every port is: -EBUSY, or -EEXIST for one's own. */
int pg_redirect_set_arm(struct pg_redirect_set *r, struct pg_tunnel *t, char mechanism_out[32],
			struct pg_err *err);

/* The link is lost, and every rule with it. */
void pg_redirect_set_disarmed(struct pg_redirect_set *r);

/* Who has the port of number `i`, while it is tried again; else NULL. */
const struct pg_redirect_holder *pg_redirect_set_holder(const struct pg_redirect_set *r, size_t i);

/* Takes every rule back, for good; connections go on. Errors are logged: the link's end does it as
 * well. */
void pg_redirect_set_stop(struct pg_redirect_set *r, struct pg_tunnel *t);

/* The tunnel's `told` event: a redirect was parked, is armed again, or was taken over; or its
 * counts. */
void pg_redirect_set_told(struct pg_redirect_set *r, struct pg_tunnel *t,
			  const Podgraft__V1__Control *msg);

/* The tunnel's `opened` event; `ctx` is the struct pg_redirect_set. */
enum pg_reset pg_redirect_set_opened(void *ctx, struct pg_stream *s, const Podgraft__V1__Open *open,
				     struct pg_relay **relay_out);

struct pg_redirect_counts pg_redirect_set_counts(const struct pg_redirect_set *r);

/* Resets every connection that is still open. */
void pg_redirect_set_cut(struct pg_redirect_set *r);
