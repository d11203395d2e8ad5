#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "agent/nft_batch.h"
#include "agent/rules.h"

/* Claims: which agent of the pod has which port. A claim is the table `podgraft-tcp-PORT`, or
 * `podgraft-out-tcp-PORT` for outgoing connections, owned by its agent's socket, made in the
 * transaction that redirects the port: of two agents the second one is refused by the kernel.
 * Kernels without owned tables leave claims of dead agents behind: there a port is free when no
 * lease on it lasts any more, whatever claim still stands. */

#define PG_TABLE_PREFIX "podgraft-" /* of every table of every agent */

enum { PG_TABLE_NAME = 64 }; /* bytes with the NUL */

/* In whose name claims are made and looked at. */
struct pg_claims {
	struct pg_nft *nft; /* borrowed */
	const char *table;  /* the agent's own, which holds its redirects; borrowed */
	bool owned;         /* the kernel removes our tables when we die */
};

struct pg_claim_wish {
	enum pg_direction direction;
	uint16_t port;
	const char *holder; /* "ann@laptop" */
	bool asked;         /* pg_claim_ask() has succeeded: its table goes with the claim */
	/* Adds the redirect to the transaction that claims its port; called once for each try. */
	void (*redirect)(void *ctx);
	void *ctx;
};

/* Claims the port and redirects it, in one transaction. -EBUSY: another agent has it, *claim_out
 * (which may be NULL) says for whom; or why the transaction failed. */
int pg_claim_port(const struct pg_claims *c, const struct pg_claim_wish *wish,
		  struct pg_claim *claim_out, struct pg_err *err);

/* What the claim on the port says, whoever made it: 0, or -ENOENT with *out empty. */
int pg_claim_read(const struct pg_claims *c, enum pg_direction direction, uint16_t port,
		  struct pg_claim *out);

/* Whether another agent redirects the port at this moment: its lease lasts in one of its sets. True
 * also when that cannot be found out. */
bool pg_claim_is_live(const struct pg_claims *c, enum pg_direction direction, uint16_t port);

/* A take-over. Who wants a port that another agent has asks for it by a second table,
 * `podgraft-takeover-tcp-PORT` (or -out-tcp-), of the same kind and text. The holder notices
 * (nft_watch.h), gives rule and claim up, and the port is free for the next pg_claim_port(). A
 * holder that hangs gives nothing up, and nobody can remove its claim; but its leases run out, and
 * then the question stands for the claim: who asked may redirect the port, and the holder, should
 * it wake up, must not. */

/* Asks for the port. -EALREADY: another agent does, *by_out (may be NULL) says for whom. */
int pg_claim_ask(const struct pg_claims *c, enum pg_direction direction, uint16_t port,
		 const char *holder, struct pg_claim *by_out, struct pg_err *err);

/* Takes the question back. */
void pg_claim_unask(const struct pg_claims *c, enum pg_direction direction, uint16_t port);

/* True when somebody asks for the port; *by_out says for whom. One's own question is one, too. */
bool pg_claim_is_asked(const struct pg_claims *c, enum pg_direction direction, uint16_t port,
		       struct pg_claim *by_out);

/* Calls `seen` for every port that somebody asks for, also for some that nobody does any more. */
void pg_claim_each_asked(const struct pg_claims *c,
			 void (*seen)(void *ctx, enum pg_direction direction, uint16_t port),
			 void *ctx);

/* Makes a claim of our question where the holder's has gone meanwhile: 0, or as before. */
int pg_claim_settle(const struct pg_claims *c, enum pg_direction direction, uint16_t port);

/* What a claim says: the comment of its table, for `nft list` to show and for other agents to read:
 * "ann@laptop since 2026-11-22T16:20:13Z". */

enum { PG_CLAIM_NAME = 40, PG_CLAIM_TEXT = 128 }; /* bytes with the NUL; nft's limit of comments */

/* The name of the claim's table, and of the question's. */
void pg_claim_name(enum pg_direction direction, uint16_t port, char out[PG_CLAIM_NAME]);
void pg_claim_ask_name(enum pg_direction direction, uint16_t port, char out[PG_CLAIM_NAME]);

/* The text of `claim`, whose `since` is a time up to the year 9999. */
void pg_claim_format(const struct pg_claim *claim, char out[PG_CLAIM_TEXT]);

/* The reverse, for text by whomever. What is not such a text becomes a holder without a time: the
 * claim is there, whatever it says. Control characters are replaced. */
void pg_claim_parse(const char *text, struct pg_claim *out);

/* A question's text: that of the claim that it would be, and when it was asked. Without owned
 * tables it outlives its agent, so it counts for PG_QUESTION_S only, by the clock that all agents
 * of the machine share: "bob@desk since 2026-11-22T16:20:13Z boot 86400". */

enum { PG_QUESTION_S = PG_TAKE_OVER_MS / 1000 + 5 };
#define PG_QUESTION_NEVER UINT64_MAX

struct pg_question {
	struct pg_claim by;
	uint64_t boot_s; /* seconds of CLOCK_BOOTTIME; PG_QUESTION_NEVER: not known */
};

void pg_question_format(const struct pg_question *question, char out[PG_CLAIM_TEXT]);

/* The reverse, as pg_claim_parse(). */
void pg_question_parse(const char *text, struct pg_question *out);

/* Whether a question of a table that nobody owns still counts. Pure. */
bool pg_question_counts(const struct pg_question *question, uint64_t now_s);
