#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"

/* Options as const tables: name, argument, default and help stand in one place, and a command's
 * values in one struct. Forms understood: --name=value, --name value, --flag, --flag=false,
 * -n value, -nvalue; "--" ends the options. The world's mistakes are errors that name the option.
 */

enum pg_opt_kind {
	PG_OPT_FLAG,     /* bool */
	PG_OPT_COUNT,    /* unsigned: how often it was given */
	PG_OPT_TEXT,     /* const char *, borrowed from argv; NULL: not given */
	PG_OPT_LIST,     /* const char **, NULL-terminated, owned; NULL: not given */
	PG_OPT_NUMBER,   /* uint64_t in lo..hi */
	PG_OPT_DURATION, /* uint64_t milliseconds in lo..hi: "90s", "5m", "0" */
	PG_OPT_SIZE,     /* uint64_t bytes in lo..hi: "64Mi" */
	PG_OPT_CHOICE,   /* const char *: one of `choices`, in their spelling */
};

struct pg_opt {
	const char *name; /* long form, without dashes */
	char letter;      /* short form, or 0 */
	enum pg_opt_kind kind;
	const char *arg;      /* its argument in the help, "DURATION"; NULL for flags and counts */
	const char *standard; /* default, as one would write it; NULL: none */
	const char *help;     /* one sentence, without the default */
	size_t offset;        /* of the value in the command's struct */
	uint64_t lo, hi;      /* of numbers, durations and sizes; hi 0: no bounds */
	const char *const *choices; /* NULL-terminated */
};

/* A table with the struct that its values go to. */
struct pg_opt_set {
	const struct pg_opt *opts;
	size_t count;
	void *values; /* zeroed by the caller */
};

/* What is no option. */
struct pg_opt_words {
	char **words; /* borrowed: argv, permuted */
	size_t count;
	char **command; /* what stands after "--", NULL-terminated; NULL: no "--" */
};

/* Puts the defaults and then `argv` (argc words, NULL-terminated, without the program's name;
 * permuted) into the values of all sets. 0, -EINVAL with a message that names the option and a hint
 * that names the closest one, or -ENOMEM. */
int pg_opt_parse(const struct pg_opt_set *sets, size_t set_count, int argc, char **argv,
		 struct pg_opt_words *rest, struct pg_err *err);

/* Frees what lists own. */
void pg_opt_fini(const struct pg_opt_set *sets, size_t set_count);

/* Adds a table's help to `out`, one option a paragraph, in kubectl's manner. */
int pg_opt_help(const struct pg_opt *opts, size_t count, struct pg_buf *out);

/* How many insertions, deletions, changes and swaps make `a` of `b`; for "did you mean". At most
 * `limit` + 1 is returned. */
size_t pg_text_distance(const char *a, const char *b, size_t limit);
