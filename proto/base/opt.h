#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"

/* Command line options: const tables, parsed into the members of a struct, and the same tables as
 * help text. Forms: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, -n=VALUE, -qv (flags in a row).
 * Options and operands may be mixed; "--" ends both, what follows it is a command of the user's.
 * Of an option given twice the last one counts, unless it is a list or a count. */
enum pg_opt_kind {
	PG_OPT_FLAG,     /* bool; --name, or --name=true and --name=false */
	PG_OPT_COUNT,    /* unsigned; how often it is given: -vv */
	PG_OPT_TEXT,     /* const char *, borrowed from argv, the table or the environment */
	PG_OPT_LIST,     /* struct pg_opt_list; each use adds one, commas separate */
	PG_OPT_U64,      /* uint64_t within lo..hi */
	PG_OPT_DURATION, /* uint64_t, milliseconds within lo..hi: 90s, 5m, 1h30m */
	PG_OPT_SIZE,     /* uint64_t, bytes within lo..hi: 64Mi */
	PG_OPT_CHOICE,   /* int, the place of the value in `choices` */
};

enum { PG_OPT_LIST_MAX = 32, PG_OPT_LIST_BYTES = 4096 };

/* The texts of a list, NULL-terminated. They live in the struct itself, which must not be copied.
 */
struct pg_opt_list {
	const char *items[PG_OPT_LIST_MAX + 1];
	size_t count;
	char text[PG_OPT_LIST_BYTES];
	size_t used;
};

struct pg_opt {
	const char *name;  /* long, without dashes; NULL ends a table */
	const char *alias; /* another long name, or NULL */
	char letter;       /* short name, or 0 */
	enum pg_opt_kind kind;
	const char *argument;       /* what its value is called in help: "FILE"; NULL for flags */
	const char *standard;       /* the value when nothing is given, as text; NULL: none, zero */
	const char *env;            /* a variable that beats `standard`, or NULL */
	const char *help;           /* a sentence or more, without the default; NULL: hidden */
	size_t at;                  /* offsetof() the member that takes the value */
	uint64_t lo, hi;            /* of numbers; hi 0: no ceiling */
	const char *const *choices; /* of PG_OPT_CHOICE, NULL-terminated */
};

/* A table and the struct that its values go to. */
struct pg_opt_set {
	const char *title; /* over its part of the help: "Options" */
	const struct pg_opt *opts;
	void *values;
};

/* What is no option. Both point into argv, which is reordered. */
struct pg_operands {
	char **items;
	int count;
	char **command; /* after "--"; NULL without one */
	int command_count;
};

/* Puts defaults and the environment's values into the sets' structs. Comes first. -EINVAL for a
 * variable that holds no such value, class PG_USER, with a hint. */
int pg_opts_init(const struct pg_opt_set *sets, size_t set_count, struct pg_err *err);

/* Reads argv[0..argc-1] (without the program's name). With `stop` it ends at the first operand,
 * and out->items is all from there on. -EINVAL, class PG_USER, with a hint that names the option
 * that was probably meant. */
int pg_opts_parse(const struct pg_opt_set *sets, size_t set_count, int argc, char **argv, bool stop,
		  struct pg_operands *out, struct pg_err *err);

/* Adds the part of a help text that tells of a table's options. 0, -ENOBUFS, -ENOMEM. */
int pg_opts_help(const struct pg_opt_set *set, struct pg_buf *out);

/* The one of `names` that `text` most resembles, by edit distance; NULL when none is close. */
const char *pg_closest(const char *text, const char *const *names, size_t count);

/* Adds `text` in lines of at most 80 columns, each after `indent` spaces. A newline in the text
 * begins another line. */
int pg_text_wrap(const char *text, int indent, struct pg_buf *out);
