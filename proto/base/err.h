#pragma once
#include "proto/base/auto.h"

/* Who can do something about a failure. Decides the exit code (docs/errors.md). */
enum pg_whose {
	PG_US,      /* exit 1: a fault of podgraft, or of nobody else */
	PG_USER,    /* exit 2: flags and usage */
	PG_CLUSTER, /* exit 3: API server, kubeconfig, RBAC, admission */
	PG_TARGET,  /* exit 4: the pod or the agent in it */
	PG_LINK,    /* exit 5: the connection between laptop and agent */
	PG_LOCAL,   /* exit 6: something on this machine */
	PG_WHOSE_COUNT
};

/* One failure, in the frame of whoever asked: reporting "out of memory" needs no memory. */
struct pg_err {
	int code;       /* -errno; 0 while nothing has failed */
	int whose;      /* enum pg_whose */
	char what[512]; /* context, outermost first: "redirect 80: open netns: ..." */
	char hint[512]; /* one thing the person can try, or "" */
};

/* Records `code` (a negative errno) with a message, to which the errno's text is added unless
 * `fmt` ends in a full stop or the code is -EPROTO or -EINVAL (those say it in words). A former
 * content is overwritten, and must not be an argument. Returns `code`. In all four calls `err` may
 * be NULL, for a caller that asks only whether; the last three then return -EIO. */
int pg_fail(struct pg_err *err, int code, const char *fmt, ...) PG_PRINTF(3, 4);

/* Puts "text: " before the message, truncating at its end. Returns err->code. */
int pg_wrap(struct pg_err *err, const char *fmt, ...) PG_PRINTF(2, 3);

/* Says who can act when there is nothing to advise. Returns err->code. */
int pg_blame(struct pg_err *err, enum pg_whose whose);

/* Says who can act, and how. Returns err->code. */
int pg_hint(struct pg_err *err, enum pg_whose whose, const char *fmt, ...) PG_PRINTF(3, 4);

/* The process's exit code for `err`: 0 when it holds no failure, else 1 to 6. */
int pg_err_exit(const struct pg_err *err);

/* The stable name of a class for --output json: "usage", "cluster", ... */
const char *pg_whose_name(enum pg_whose whose);

/* Replaces every byte of `text` that could steer a terminal (C0 except tab, DEL, C1 in UTF-8,
 * invalid UTF-8) by '?', in place. Whatever a peer said goes through it before it is printed. */
void pg_sanitize(char *text);
