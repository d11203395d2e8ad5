#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proto/base/err.h"
#include "proto/io/network.h"

/* The pod's rule set, as far as it is ours: one nftables table that is owned by our netlink
 * socket (the kernel removes it when we die), a claim table per port, and a lease on every rule.
 * How connections are taken is chosen here (linux: tproxy where the pod has no NAT, else a NAT
 * redirect in front of the mesh) and nobody above knows which. */
struct pg_rules;

/* SO_MARK of the agent's own sockets: exempt from our rules, or led by them to the mesh's proxy. */
enum { PG_MARK = 0x5047, PG_MARK_WIRE = 0x5048 };

enum { PG_LEASE_MS = 10000, PG_LEASE_RENEW_MS = 3000 };

enum { PG_RULES_MAX = 256 };

/* A port that is taken over from another agent: how often to look whether it is free, and for how
 * long. An agent that lives gives it up at once; one that hangs loses it with its lease. */
enum { PG_TAKE_OVER_LOOK_MS = 20, PG_TAKE_OVER_MS = PG_LEASE_MS + 2000 };

enum pg_mechanism { PG_MECH_AUTO, PG_MECH_TPROXY, PG_MECH_NAT };

struct pg_rules_config {
	const char *owner_tag;   /* part of the table's name, letters and digits; borrowed */
	enum pg_mechanism force; /* PG_MECH_AUTO: look at the pod */
	bool no_owner_flag;      /* tests: as a kernel before 5.12, the lease alone protects */
	uint32_t lease_ms;       /* tests: another lease than PG_LEASE_MS; 0: that */
};

/* Opens the netlink socket, probes the mechanism and creates the table with the listeners' shield.
 * -EPERM: no NET_ADMIN; -EPROTONOSUPPORT and -ENOENT: the kernel or sandbox has no nf_tables; each
 * with its hint. Creates no rule that touches traffic. */
int pg_rules_open(const struct pg_rules_config *config, struct pg_rules **out, struct pg_err *err);

/* Removes everything of ours and closes, the listeners as well: connections that nobody has
 * accepted are reset, so empty their queues first. With "nat" redirected connections end here
 * unless the pod has NAT of its own: drain them first. NULL is allowed. */
void pg_rules_close(struct pg_rules *r);

enum pg_direction {
	PG_INCOMING, /* connections to a port of the pod */
	PG_OUTGOING, /* the pod's own connections to that port of others */
};

/* "" or "outgoing ", as messages say it before "port 80". */
const char *pg_direction_word(enum pg_direction direction);

/* The mark of a socket that takes a connection to where it would have gone without us, when a rule
 * with `wire` took it: what came from outside is the mesh's proxy's, the rest the app's. */
uint32_t pg_rules_mark_wire(const struct pg_rules *r, const struct sockaddr_storage *peer,
			    const struct sockaddr_storage *local);

/* "tproxy" or "nat": how connections of that direction are taken. */
const char *pg_rules_mechanism(const struct pg_rules *r, enum pg_direction direction);

enum { PG_LISTENERS = 4 };

/* Listening sockets for redirected connections (nonblocking, close on exec), shared by all
 * redirects: IPv4 and IPv6 for incoming ones, opened with the rule set, then the same for outgoing
 * ones, opened with the first of these. -1 where there is none (yet). Borrowed. */
void pg_rules_listeners(const struct pg_rules *r, int fds_out[PG_LISTENERS]);

/* What is redirected. Both directions of one port are two rules, each with a claim of its own. */
struct pg_rule {
	enum pg_direction direction;
	uint16_t port;
	const char *holder; /* for the claim's user data, "ann@laptop" (64 bytes at most) */
	bool take_over;     /* from whoever has the port */

	/* Incoming. */
	bool no_local; /* leave connections from inside the pod alone */
	bool wire;     /* mesh pods: the leg as sent */

	/* Outgoing. Never taken: connections to the pod itself, and those of a mesh's proxy. */
	const struct pg_network *to; /* only those to these; none: to anybody. Borrowed */
	size_t to_count;
	bool only_uid; /* only those of the user `uid` */
	uint32_t uid;
};

/* Who holds a port already. */
struct pg_claim {
	char holder[65];
	uint64_t since; /* seconds of the epoch; 0 unknown */
};

/* Claims the port and redirects it, in one transaction. New connections only; existing ones go
 * on. -EBUSY: claimed by another agent, *claim_out says by whom. -EEXIST: by ourselves;
 * *claim_out says for whom.
 * -EADDRINUSE: it is the port of our own listeners. -ENOSPC: PG_RULES_MAX are there. -EINVAL: the
 * user is the mesh's proxy. -EOPNOTSUPP, -ENOENT: the kernel cannot, with a hint. With
 * rule->take_over: -EAGAIN, the agent that has it (*claim_out) was asked to give it up: try again
 * until pg_rules_take_no_more(). -EALREADY: so was it by another one. */
int pg_rules_add(struct pg_rules *r, const struct pg_rule *rule, struct pg_claim *claim_out,
		 struct pg_err *err);

/* The port will not be taken over: nobody is asked for it any more. */
void pg_rules_take_no_more(struct pg_rules *r, enum pg_direction direction, uint16_t port);

/* Readable when another agent may have asked for one of our ports. Borrowed. */
int pg_rules_watch(const struct pg_rules *r);

/* Gives up every port of ours that another agent asks for, and tells of each, for whom: its rule
 * and its claim are gone by then. */
void pg_rules_give_up(struct pg_rules *r,
		      void (*taken)(void *ctx, enum pg_direction direction, uint16_t port,
				    const struct pg_claim *by),
		      void *ctx);

/* Whether the port is redirected by us, parked or not; what claim there is on it: *claim_out (may
 * be NULL), empty when there is none. */
bool pg_rules_has(struct pg_rules *r, enum pg_direction direction, uint16_t port,
		  struct pg_claim *claim_out);

/* Gives the port back: new connections reach the app, redirected ones go on. -ENOENT: not ours. */
int pg_rules_remove(struct pg_rules *r, enum pg_direction direction, uint16_t port,
		    struct pg_err *err);

/* Gives the port back for a while (`parked`), or takes it again; the claim on it stays ours.
 * -ENOENT: not ours. -EBUSY: not any more, another agent has taken it while we did not renew its
 * lease; it is forgotten. */
int pg_rules_park(struct pg_rules *r, enum pg_direction direction, uint16_t port, bool parked,
		  struct pg_err *err);

/* Renews the lease of every rule, and that of the listeners' shield; to be called each
 * PG_LEASE_RENEW_MS. 0, or 1 when somebody had removed our table, as anybody can without the owner
 * flag: it was made again. A rule whose lease ran out meanwhile takes its port again, unless
 * another agent asks for it. -EBUSY: that failed for the rule that *err names (without the owner
 * flag another agent may have claimed its port); it is forgotten, the others are renewed. */
int pg_rules_renew(struct pg_rules *r, struct pg_err *err);

/* Where the accepted socket `fd` was going before our rule, and which way. -ENOENT: it was not
 * redirected but dialled the listener directly, and is to be reset. */
int pg_rules_original(const struct pg_rules *r, int fd, struct sockaddr_storage *out,
		      enum pg_direction *direction_out);
