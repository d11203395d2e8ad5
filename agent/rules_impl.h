#pragma once
/* Shared by rules*.c only: the rule set from inside. */
#include "agent/mech_detect.h"
#include "agent/rules.h"
#include "agent/rules_claim.h"
#include "agent/rules_out.h"

enum { RULES_ASKED_MAX = 16 };

struct rules_entry {
	enum pg_direction direction;
	uint16_t port;
	unsigned paths;            /* the sets it is in, enum pg_path, */
	bool parked;               /* but for while it is parked */
	char holder[65];           /* for whom */
	bool asked;                /* its claim is our question: who it was taken from hangs */
	struct pg_out_scope scope; /* of outgoing ones */
};

struct pg_rules {
	struct pg_nft *nft;
	const struct pg_mech *mech;
	struct pg_pod_nat nat;
	struct pg_listeners listeners;
	struct pg_out out;
	struct pg_claims claims; /* what is claimed in our name */
	uint32_t lease_ms;
	char table[PG_TABLE_NAME];
	struct rules_entry entries[PG_RULES_MAX];
	size_t count;
	struct {
		enum pg_direction direction;
		uint16_t port;
	} asked[RULES_ASKED_MAX]; /* what we ask other agents for */
	size_t asked_count;
	int watch; /* nft_watch.h */
};

/* rules.c */

/* NULL: not ours. */
struct rules_entry *rules_find(struct pg_rules *r, enum pg_direction direction, uint16_t port);
void rules_forget(struct pg_rules *r, struct rules_entry *e);

int rules_not_ours(enum pg_direction direction, uint16_t port, struct pg_err *err);

/* Makes the table, without owner where the kernel knows none, and in place of one that an earlier
 * agent of the same tag left behind on such a kernel. */
int rules_make_table(struct pg_rules *r, struct pg_err *err);

/* The sets that its port is in now, enum pg_path. */
unsigned rules_sets(const struct rules_entry *e);

/* Its port into all its sets, of a redirect that is there already or of a new one, and out of them:
 * parts of a transaction. */
void rules_put(struct pg_rules *r, const struct rules_entry *e);
void rules_put_new(struct pg_rules *r, const struct rules_entry *e);
void rules_take(struct pg_rules *r, const struct rules_entry *e);

/* Claims the port and puts it into its sets, in one transaction: as pg_claim_port(). */
int rules_claim(struct pg_rules *r, const struct rules_entry *e, struct pg_claim *claim_out,
		struct pg_err *err);

/* rules_takeover.c */

/* The name of the table that stands for the claim on `e`. */
void rules_claim_name(const struct rules_entry *e, char out[PG_CLAIM_NAME]);

/* Whether the question for the port is ours; it is answered or taken back. */
bool rules_has_asked(const struct pg_rules *r, enum pg_direction direction, uint16_t port);
void rules_forget_asking(struct pg_rules *r, enum pg_direction direction, uint16_t port);

/* Another agent has the port of `e`: asks for it, or takes it when its holder hangs: 0. -EAGAIN: it
 * is asked for; -EALREADY: by another agent, *claim_out (may be NULL) says for whom. */
int rules_take_over(struct pg_rules *r, struct rules_entry *e, struct pg_claim *claim_out,
		    struct pg_err *err);
