#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "agent/away.h"
#include "agent/nodes.h"
#include "agent/pressure.h"
#include "agent/rules.h"
#include "proto/base/byteq.h"
#include "proto/base/log.h"
#include "proto/io/loop.h"

/* Every redirect of this agent: its rule, the lease that keeps it alive, and whether it is parked.
 * Connections that arrive are handed to the redirect's owner. */
struct pg_redirects;
struct pg_redirect;

/* A connection that a rule took. */
struct pg_arrival {
	int fd; /* prepared (pg_sock_prepare()), the callee's */
	const struct sockaddr_storage *peer, *local; /* its client; where that was going */
	uint32_t mark; /* of the socket that takes it there, should the laptop not serve it */
	struct pg_byteq *first; /* what was read of it already, to be emptied; or NULL */
	bool to_app;            /* whatever the redirect is: it is the app's, */
	bool is_probe;          /* as it is a probe of the kubelet's */
};

/* What became of a connection. */
enum pg_served { PG_BY_LAPTOP, PG_BY_APP, PG_AS_PROBE, PG_SERVED_COUNT };

struct pg_redirect_owner {
	/* A connection to the redirect's port. */
	void (*arrived)(void *ctx, const struct pg_redirect *rd, const struct pg_arrival *a);
	/* The counts have changed: told once a second at most, and when the redirect ends; if
	 * rd->undecided is not 0 then, also after that, until it is. */
	void (*counted)(void *ctx, const struct pg_redirect *rd);
	/* How many connections that came by the redirect `serial` nobody serves yet. */
	size_t (*undecided)(void *ctx, uint32_t serial);
	/* The redirect was parked, so that its clients reach the app, or took its port again; not
	 * called for what the owner asked for itself. */
	void (*changed)(void *ctx, const struct pg_redirect *rd);
	/* The redirect is no more: another agent, or another session here, has taken its port over
	 * for by->holder. Its connections go on. */
	void (*taken)(void *ctx, const struct pg_redirect *rd, const struct pg_claim *by);
	/* Another session wants the port of one of its redirects: true when it may have it, because
	 * the owner's laptop does not live any more. */
	bool (*yield)(void *ctx);
};

/* What the laptop wants of a redirect beyond its rule. */
struct pg_redirect_terms {
	bool no_fallback;      /* the app is not to stand in for the laptop */
	bool grpc;             /* the kubelet's probes may be of gRPC */
	struct pg_nodes nodes; /* what may be the kubelet's comes from there; none: nothing is */
};

struct pg_redirect { /* read-only outside */
	uint32_t id; /* as the laptop gave it */
	enum pg_direction direction;
	uint16_t port; /* of the pod; outgoing: of others */
	bool wire;     /* mesh pods: taken as it was sent to the proxy */
	struct pg_redirect_terms terms;
	bool unserved; /* the laptop did not take a connection, and did not start it again */
	bool parked;
	char holder[65];                  /* for whom: "ann@laptop" */
	uint64_t since;                   /* seconds of the epoch */
	uint32_t serial;                  /* of this redirect alone, in this agent; not 0 */
	uint32_t arming;                  /* the same of each time that its laptop started it */
	uint64_t served[PG_SERVED_COUNT]; /* connections so far */
	uint32_t undecided; /* once it has ended: connections that nobody serves yet */
	bool has_news;      /* counts that were not told yet */
	const struct pg_redirect_owner *owner;
	void *ctx;
};

/* `tag` makes the names of our rules our own; `pressure` hears of every descriptor; all borrowed.
 * Connections that a rule took just before it went are handed to `orphans`, as by a redirect of
 * id 0. NULL: out of memory. Nothing of the kernel is touched before the first redirect. */
struct pg_redirects *pg_redirects_new(struct pg_loop *loop, const struct pg_log *log,
				      const char *tag, struct pg_pressure *pressure,
				      const struct pg_redirect_owner *orphans, void *ctx);

/* Before the first redirect: does without the kernel's owner flag, as before Linux 5.12, so that
 * the lease alone takes the rules of a dead agent back. */
void pg_redirects_disown(struct pg_redirects *all);

/* Tests: how long a laptop that went without a word is expected back, other than PG_AWAY_MS. */
void pg_redirects_expect_back(struct pg_redirects *all, uint64_t ms);

/* Removes every rule, closes the listeners, and frees after the loop's turn. */
void pg_redirects_close(struct pg_redirects *all);

/* Starts one: `rule` and `terms` are copied, to whose nodes, if any, the gateways are added. One
 * that stands already with the same id, direction, port and owner goes on, and its laptop serves
 * again: 0. -EBUSY: *claim_out names the holder. -EEXIST: this agent redirects that port for
 * another session that lives, *claim_out names it, too. -EPERM and the like: why rules cannot be
 * made here. With rule->take_over neither -EBUSY nor -EEXIST, but -EAGAIN while another agent is
 * asked for the port (agent/takeover.h does the waiting), and -EALREADY. -ESHUTDOWN: after
 * pg_redirects_end(). */
int pg_redirects_start(struct pg_redirects *all, uint32_t id, const struct pg_rule *rule,
		       const struct pg_redirect_terms *terms, const struct pg_redirect_owner *owner,
		       void *ctx, struct pg_claim *claim_out, struct pg_err *err);

/* Nobody waits for the port any more: another agent is not asked for it any longer. */
void pg_redirects_take_no_more(struct pg_redirects *all, enum pg_direction direction,
			       uint16_t port);

/* The laptop did not serve a connection that came by this `arming` of a redirect: parks it, if it
 * may be parked and was not started again meanwhile, and tells its owner. */
void pg_redirects_park(struct pg_redirects *all, uint32_t arming);

/* Parks all of them for want of descriptors or memory (`code` EMFILE or ENOMEM), those that start
 * meanwhile as well, until it is called with 0; connections of those with no_fallback, which are
 * never parked, are reset meanwhile. */
void pg_redirects_shortage(struct pg_redirects *all, int code);
int pg_redirects_short_of(const struct pg_redirects *all);

/* Tells the owner `ctx` how each of its redirects stands, as if that had just changed. */
void pg_redirects_tell_again(struct pg_redirects *all, const void *ctx);

/* Stops the redirect `id` of `ctx`: new connections reach the app from now on. -ENOENT. */
int pg_redirects_stop(struct pg_redirects *all, uint32_t id, void *ctx, struct pg_err *err);

/* Stops every redirect of `ctx`. */
void pg_redirects_stop_all(struct pg_redirects *all, const void *ctx);

/* The same, but `ctx` lost its laptop: they are noted as parked, until the laptop starts them again
 * or PG_AWAY_MS are over. */
void pg_redirects_leave(struct pg_redirects *all, const void *ctx);
const struct pg_away *pg_redirects_away(const struct pg_redirects *all);

/* Stops and forgets all of them; none starts any more. */
void pg_redirects_end(struct pg_redirects *all);

/* Without redirects: closes the rule set and its listeners, so that nothing of ours is left. Not
 * while connections live that came through it (under NAT they need its anchor), and not at once
 * after the last redirect (a client may be in the middle of its handshake). Does nothing while
 * there are redirects. */
void pg_redirects_rest(struct pg_redirects *all);

/* A connection that arrived at the redirect `serial` is served so: for its counts, if they are
 * still told. */
void pg_redirects_served(struct pg_redirects *all, uint32_t serial, enum pg_served how);

/* Connections from the node that are still being looked at. */
size_t pg_redirects_looking(const struct pg_redirects *all);

/* Those that stand. */
size_t pg_redirects_count(const struct pg_redirects *all);

/* "tproxy", "nat", or "" before the first redirect. */
const char *pg_redirects_mechanism(const struct pg_redirects *all, enum pg_direction direction);
