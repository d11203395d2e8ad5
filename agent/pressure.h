#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/io/loop.h"

/* How near this agent is to the end of its descriptors and of its memory. At 90 % of either it is
 * short, and its redirects are parked; when both are at 75 % or less that is over. What is left
 * above serves the connections that a rule took just before, and the control API. Of few
 * descriptors (fewer than 100) some are kept: it is short while there is no room for a connection
 * more, until there is for three. */

enum { PG_SHORT_PERCENT = 90, PG_PLENTY_PERCENT = 75 };

struct pg_usage {
	uint64_t files, files_max; /* descriptors in use, and RLIMIT_NOFILE */
	uint64_t bytes, bytes_max; /* what connections may hold, and their ceiling */
};

/* What is short: EMFILE, ENOMEM, or 0. `was` is the last answer: it stands until there is plenty
 * of both. Pure. */
int pg_usage_shortage(const struct pg_usage *u, int was);

/* Watches over it. */
struct pg_pressure;

/* `changed` is called when a shortage begins (`code` EMFILE or ENOMEM, positive) and ends (0), from
 * pg_pressure_file(), pg_pressure_bytes(), or from the loop. NULL: out of memory. */
struct pg_pressure *pg_pressure_new(struct pg_loop *loop, uint64_t bytes_max,
				    void (*changed)(void *ctx, int code), void *ctx);

/* Frees after the loop's turn. NULL is allowed. */
void pg_pressure_close(struct pg_pressure *p);

/* The connection `fd` was accepted just now. The kernel gives the lowest descriptor, so all below
 * are in use; how many are above is not known, so they are counted before they may run short. */
void pg_pressure_file(struct pg_pressure *p, int fd);

/* What all connections together may hold from now on. */
void pg_pressure_bytes(struct pg_pressure *p, uint64_t bytes);

/* A lane was opened (1) or closed (-1): each may hold PG_LANE_BYTES. The first one is not counted,
 * as no agent is without. */
void pg_pressure_lane(struct pg_pressure *p, int change);

/* Whether one more lane can be taken: the first of its session while all lanes together stay below
 * half of the memory, another while they stay below a quarter; two can always be. So lanes alone
 * never make a shortage. */
bool pg_pressure_takes_lane(const struct pg_pressure *p, bool is_first);

/* EMFILE, ENOMEM, or 0. */
int pg_pressure_code(const struct pg_pressure *p);

/* Whether one more connection can be served, be it by the app: two descriptors more, and memory
 * below the ceiling. Some descriptors are left to the control API. */
bool pg_pressure_has_room(struct pg_pressure *p);
