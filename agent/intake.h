#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "agent/rules.h"
#include "proto/base/log.h"
#include "proto/io/loop.h"

/* Where redirected connections arrive: a rule set and the listeners behind it, which open and end
 * together. */
struct pg_intake;

struct pg_intake_events {
	/* The client `peer` was going to `local`, this way. `fd` is prepared (pg_sock_prepare())
	 * and the callee's. */
	void (*arrived)(void *ctx, int fd, const struct sockaddr_storage *peer,
			const struct sockaddr_storage *local, enum pg_direction direction);
	/* Another agent wants a port of ours, or has taken one: pg_rules_give_up() tells which. */
	void (*wanted)(void *ctx);
	/* Whether one more may be accepted now; the queue waits in the kernel while not. */
	bool (*has_room)(void *ctx);
};

/* Opens rules and listeners; everything is borrowed. Errors as of pg_rules_open(). */
int pg_intake_open(struct pg_loop *loop, const struct pg_log *log,
		   const struct pg_rules_config *config, const struct pg_intake_events *events,
		   void *ctx, struct pg_intake **out, struct pg_err *err);

/* Rules and listeners go at once; frees after the loop's turn. */
void pg_intake_close(struct pg_intake *in);

/* Takes notice of the listeners that the rule set opened after its first. */
int pg_intake_watch(struct pg_intake *in, struct pg_err *err);

struct pg_rules *pg_intake_rules(const struct pg_intake *in);

/* Takes all that waits in the listeners' queues: for the moment after a rule has gone. */
void pg_intake_empty(struct pg_intake *in);
