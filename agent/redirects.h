#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "agent/rules.h"
#include "proto/base/log.h"
#include "proto/io/loop.h"

/* Every redirect of this agent: the rule set, the listeners behind it, and the lease that keeps
 * both alive. Connections that arrive are handed to the redirect's owner. */
struct pg_redirects;
struct pg_redirect;

struct pg_redirect_owner {
	/* A connection to the redirect's port: `fd` is prepared (pg_sock_prepare()) and the
	 * callee's, `peer` its client, `local` where it was going. */
	void (*arrived)(void *ctx, const struct pg_redirect *rd, int fd,
			const struct sockaddr_storage *peer, const struct sockaddr_storage *local);
	/* The redirect was parked: its clients reach the app until it is started again. */
	void (*parked)(void *ctx, const struct pg_redirect *rd);
	/* The redirect is no more: another agent, or another session here, has taken its port over
	 * for by->holder. Its connections go on. */
	void (*taken)(void *ctx, const struct pg_redirect *rd, const struct pg_claim *by);
	/* Another session wants the port of one of its redirects: true when it may have it, because
	 * the owner's laptop does not live any more. */
	bool (*yield)(void *ctx);
};

struct pg_redirect { /* read-only outside */
	uint32_t id; /* as the laptop gave it */
	enum pg_direction direction;
	uint16_t port;    /* of the pod; outgoing: of others */
	bool no_fallback; /* the app is not to stand in for the laptop */
	bool parked;
	const struct pg_redirect_owner *owner;
	void *ctx;
};

/* `tag` makes the names of our rules our own; both borrowed. Connections that a rule took just
 * before it went are handed to `orphans`, as by a redirect of id 0. NULL: out of memory. Nothing of
 * the kernel is touched before the first redirect. */
struct pg_redirects *pg_redirects_new(struct pg_loop *loop, const struct pg_log *log,
				      const char *tag, const struct pg_redirect_owner *orphans,
				      void *ctx);

/* Removes every rule, closes the listeners, and frees after the loop's turn. */
void pg_redirects_close(struct pg_redirects *all);

/* Starts one: `rule` is copied. One that stands already with the same id, direction, port and owner
 * goes on, and is no longer parked: 0. -EBUSY: *claim_out names the holder. -EEXIST: this agent
 * redirects that port for another session that lives, *claim_out names it, too. -EPERM and the
 * like: why rules cannot be made here. With rule->take_over neither -EBUSY nor -EEXIST, but -EAGAIN
 * while another agent is asked for the port (agent/takeover.h does the waiting), and -EALREADY. */
int pg_redirects_start(struct pg_redirects *all, uint32_t id, const struct pg_rule *rule,
		       bool no_fallback, const struct pg_redirect_owner *owner, void *ctx,
		       struct pg_claim *claim_out, struct pg_err *err);

/* Nobody waits for the port any more: another agent is not asked for it any longer. */
void pg_redirects_take_no_more(struct pg_redirects *all, enum pg_direction direction,
			       uint16_t port);

/* Parks the redirect of `port`, if there is one that may be parked, and tells its owner. */
void pg_redirects_park(struct pg_redirects *all, enum pg_direction direction, uint16_t port);

/* Stops the redirect `id` of `ctx`: new connections reach the app from now on. -ENOENT. */
int pg_redirects_stop(struct pg_redirects *all, uint32_t id, void *ctx, struct pg_err *err);

/* Stops every redirect of `ctx`, or all when it is NULL. */
void pg_redirects_stop_all(struct pg_redirects *all, const void *ctx);

/* Without redirects: closes the rule set and its listeners, so that nothing of ours is left. Not
 * while connections live that came through it (under NAT they need its anchor), and not at once
 * after the last redirect (a client may be in the middle of its handshake). Does nothing while
 * there are redirects. */
void pg_redirects_rest(struct pg_redirects *all);

/* Those that stand. */
size_t pg_redirects_count(const struct pg_redirects *all);

/* "tproxy", "nat", or "" before the first redirect. */
const char *pg_redirects_mechanism(const struct pg_redirects *all, enum pg_direction direction);
