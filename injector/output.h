#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/log.h"

/* What a command says. Results go to stdout; words for people, warnings and the live status line
 * go to stderr. With --output json stdout gets one JSON object a line, with stable keys, and the
 * words for people are left out. */
enum pg_format { PG_FORMAT_TEXT, PG_FORMAT_JSON };

struct pg_output {
	enum pg_format format;
	struct pg_log log;  /* for library code; clears the status line before each line */
	FILE *results;      /* stdout */
	FILE *words;        /* stderr */
	bool quiet;         /* -q: no info */
	bool live;          /* `words` is a terminal that a line can be rewritten on */
	bool colour;        /* `words` is a terminal, and NO_COLOR is not set */
	bool status_shown;  /* the line is on the screen now */
	uint64_t status_us; /* when it was drawn */
	uint64_t told_s;    /* seconds of the wait that was last told of without a terminal */
	int write_code;     /* -errno: why a result could not be written; else 0 */
	char status[512];
};

/* Over stdout and stderr, which are borrowed. `verbose` counts -v. `o` must not move after it. */
void pg_output_init(struct pg_output *o, enum pg_format format, bool quiet, unsigned verbose);
/* Removes the status line; nothing is written after it. */
void pg_output_fini(struct pg_output *o);

/* From now on stdout is another program's: results go to stderr. For good. */
void pg_output_leave_stdout(struct pg_output *o);

/* Whether all results have arrived: 0, or the first failure (-ENOSPC: disk full; -EPIPE: the reader
 * has gone), after which the format is text. */
int pg_output_written(struct pg_output *o, struct pg_err *err);

/* A result, for people: a line on stdout (the newline is added). Nothing in JSON. */
void pg_output_print(struct pg_output *o, const char *fmt, ...) PG_PRINTF(2, 3);
/* Lines of our own making on stdout, as they are, whatever the format: help, or a script. */
void pg_output_text(struct pg_output *o, const char *text);
/* A line for people on stderr. Nothing with -q or in JSON. */
void pg_output_info(struct pg_output *o, const char *fmt, ...) PG_PRINTF(2, 3);
/* A warning; in JSON an event "warning" with "message". */
void pg_output_warn(struct pg_output *o, const char *fmt, ...) PG_PRINTF(2, 3);

/* One line of JSON: {"event":NAME, ...} with the members of `fmt`, as json_pack() takes them
 * ("{s:s, s:i}"); values of "o" are taken. Nothing in text. */
void pg_output_event(struct pg_output *o, const char *name, const char *fmt, ...);
/* A Unix time as a member of an event, for "o*": it is left out (NULL) when nobody knows it (0). */
json_t *pg_output_time(int64_t unix_s);
/* One line of JSON, as it is. Takes `value`, which may be NULL (out of memory: an error event).
 * Nothing in text. */
void pg_output_json(struct pg_output *o, json_t *value);

/* The live line: shows `fmt` in place on a terminal, cut to its width, at most four times a second
 * (a later call shows the newest). Without a terminal, with -q and in JSON nothing is shown. */
void pg_output_status(struct pg_output *o, const char *fmt, ...) PG_PRINTF(2, 3);
void pg_output_status_clear(struct pg_output *o);

/* What a wait that has lasted `waited_ms` is for: the live line on a terminal, else a line now and
 * then (after 1, 10, 20, ... seconds), in JSON an event "waiting" with "for" and "seconds".
 * Meant for pg_loop_on_slow(). */
void pg_output_waiting(struct pg_output *o, const char *what, uint64_t waited_ms);

/* A failure, once, at the very end: "podgraft: MESSAGE" and its hint on stderr, or in JSON
 * {"error":{"message":...,"hint":...,"class":...,"code":EXIT}} on stdout. */
void pg_output_error(struct pg_output *o, const struct pg_err *err);

/* The first bytes of `text` that fill at most `columns` of a terminal: whole UTF-8 characters, each
 * taken for one column. Pure. */
size_t pg_text_fit(const char *text, size_t columns);
