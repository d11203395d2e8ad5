#pragma once
#include "agent/mech.h"
#include "agent/rules.h"

/* The part of our table that takes the pod's own connections to others: rules.c's alone. It comes
 * with the first such redirect, because from then on the kernel tracks every connection of the
 * pod, and stays until the table goes, because the redirected connections need it. */
struct pg_out {
	struct pg_listeners listeners; /* on loopback; port 0: there is no such part */
};

/* Listens, and adds chain and sets to `table`. -EOPNOTSUPP and -ENOENT: the node's kernel cannot,
 * with a hint. */
int pg_out_open(struct pg_out *o, struct pg_nft *n, const char *table, const struct pg_pod_nat *nat,
		uint32_t lease_ms, struct pg_err *err);

/* Adds them once more, to a table that was made anew. */
int pg_out_write(const struct pg_out *o, struct pg_nft *n, const char *table,
		 const struct pg_pod_nat *nat, uint32_t lease_ms, struct pg_err *err);

/* Closes the listeners. */
void pg_out_close(struct pg_out *o);

/* Whose connections to which addresses a redirect takes. */
struct pg_out_scope {
	uint32_t uid_first, uid_last;
	struct pg_network *to; /* owned */
	size_t count;
};

/* The scope of `rule`: 0 or -ENOMEM. It has no address twice. */
int pg_out_scope_of(const struct pg_rule *rule, struct pg_out_scope *out);
void pg_out_scope_fini(struct pg_out_scope *s);

/* Adds or removes what the scope allows for `port`, in the running transaction. It counts while the
 * port is in the set of PG_PATH_OUTGOING. */
void pg_out_put(struct pg_nft *n, const char *table, uint16_t port, const struct pg_out_scope *s);
void pg_out_take(struct pg_nft *n, const char *table, uint16_t port, const struct pg_out_scope *s);
