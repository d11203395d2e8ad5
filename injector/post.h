#pragma once
#include <jansson.h>

#include "injector/cli.h"
#include "injector/member.h"
#include "injector/news.h"

/* One pod of many, and the podgraft of our own that redirects it: what that one tells becomes lines
 * and events with the pod's name. */
struct pg_post;

struct pg_post_config {
	struct pg_app *app;
	struct pg_news *news; /* what is wrong here is often the same for every pod */
	/* Its podgraft has ended; the post may be freed. */
	void (*ended)(void *ctx, struct pg_post *p);
	void *ctx;
};

/* What its connections were and are. */
struct pg_post_sums {
	json_int_t open, total, bytes_in, bytes_out;
	json_int_t laptop, app, probes; /* who served them: see the event "counts" */
	json_int_t refused;             /* by the local program */
};

struct pg_post { /* read-only outside, but for the marks of its owner */
	const struct pg_post_config *config;
	char name[254];
	char uid[PG_NAME_MAX + 1];
	struct pg_member *member; /* NULL: has ended, or waits to be started again */
	bool is_up;
	bool is_given_up;      /* its failure does not pass */
	unsigned failures;     /* in a row */
	uint64_t again_ms;     /* when it is to be started again */
	json_t *error;         /* its last words; NULL */
	struct pg_quota words; /* of its standard error */
	struct pg_post_sums sums;
	struct pg_post_sums before; /* of its podgrafts that have ended */
	bool wants_credential;      /* newer than ... */
	unsigned credential;        /* ... this number, the one that it has */
	bool is_gone; /* a mark: the pod was deleted, has ended, or is no longer meant ... */
	bool is_back; /* ... and is meant again, before its podgraft has ended */
};

/* `config` is borrowed. NULL: out of memory. */
struct pg_post *pg_post_new(const struct pg_post_config *config, const struct pg_pod_change *pod);

/* Starts its podgraft: 0; or a negative errno, which counts as a failure of the pod's that may
 * pass: pg_post_failed() says it. */
int pg_post_start(struct pg_post *p);

/* For its podgraft, if one runs. */
void pg_post_signal(struct pg_post *p, int signo);

/* Hands over what it wanted. */
void pg_post_give_credential(struct pg_post *p, const char *line, size_t size);

/* Without a podgraft that runs. */
void pg_post_free(struct pg_post *p);

/* Says why the pod is not redirected, and whether it is tried again. */
void pg_post_failed(struct pg_post *p);
