#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "injector/proxy_protocol.h"
#include "injector/tunnel.h"
#include "proto/base/log.h"
#include "proto/io/network.h"

/* The laptop's half of redirects: which port of the pod goes to which local address, and the
 * connections on their way there. */
struct pg_redirects;

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
	size_t taken;     /* of them: somebody else has the port now */
};

/* Which of the pod's own connections outgoing redirects take. */
struct pg_redirect_scope {
	struct pg_network to[PG_NETWORKS_MAX]; /* only those to these; none: to anybody */
	size_t to_count;
	bool only_uid; /* only those of the user `uid` of the pod */
	uint32_t uid;
};

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
	void *ctx;
};

/* `log` and `manner` are borrowed. NULL: out of memory. */
struct pg_redirects *pg_redirects_new(struct pg_loop *loop, const struct pg_log *log,
				      const struct pg_redirect_manner *manner);

/* Resets what is open. */
void pg_redirects_free(struct pg_redirects *r);

/* Adds one, which waits to be armed. -ENOSPC: too many. */
int pg_redirects_add(struct pg_redirects *r, const struct pg_redirect_want *want,
		     struct pg_err *err);

/* What the redirect that was added as number `i` (from 0) is for, from its next arming on. */
void pg_redirects_replan(struct pg_redirects *r, size_t i, const struct pg_redirect_want *want);

/* Arms over the tunnel what is not armed: 0, and *mechanism_out (32 bytes) is "tproxy" or "nat"; or
 * what the agent said, in words, with a hint. */
int pg_redirects_arm(struct pg_redirects *r, struct pg_tunnel *t, char mechanism_out[32],
		     struct pg_err *err);

/* The link is lost, and every rule with it. */
void pg_redirects_disarmed(struct pg_redirects *r);

/* Takes every rule back; connections go on. Errors are logged: the link's end does it as well. */
void pg_redirects_stop(struct pg_redirects *r, struct pg_tunnel *t);

/* The tunnel's `told` event: a redirect was parked, is armed again, or was taken over; or its
 * counts. */
void pg_redirects_told(struct pg_redirects *r, struct pg_tunnel *t,
		       const Podgraft__V1__Control *msg);

/* The tunnel's `opened` event; `ctx` is the struct pg_redirects. */
enum pg_reset pg_redirects_opened(void *ctx, struct pg_stream *s, const Podgraft__V1__Open *open,
				  struct pg_relay **relay_out);

struct pg_redirect_counts pg_redirects_counts(const struct pg_redirects *r);

/* Resets every connection that is still open. */
void pg_redirects_cut(struct pg_redirects *r);
