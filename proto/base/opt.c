#include "proto/base/opt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/num.h"

enum { LIST_MAX = 256, NAME_MAX_LEN = 48, NEAR = 2 };

/* A table's row with the struct that its value goes to. */
struct slot {
	const struct pg_opt *opt;
	void *value;
};

static bool takes_argument(const struct pg_opt *o)
{
	return o->kind != PG_OPT_FLAG && o->kind != PG_OPT_COUNT;
}

static struct slot find_long(const struct pg_opt_set *sets, size_t count, const char *name,
			     size_t n)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < sets[i].count; k++) {
			const struct pg_opt *o = &sets[i].opts[k];
			if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
				return (struct slot){ o, (char *)sets[i].values + o->offset };
		}
	return (struct slot){ NULL, NULL };
}

static struct slot find_letter(const struct pg_opt_set *sets, size_t count, char letter)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < sets[i].count; k++) {
			const struct pg_opt *o = &sets[i].opts[k];
			if (o->letter == letter && letter != '\0')
				return (struct slot){ o, (char *)sets[i].values + o->offset };
		}
	return (struct slot){ NULL, NULL };
}

size_t pg_text_distance(const char *a, const char *b, size_t limit)
{
	size_t la = strlen(a), lb = strlen(b);
	size_t rows[3][NAME_MAX_LEN + 1];
	if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN)
		return limit + 1;
	for (size_t k = 0; k <= lb; k++)
		rows[0][k] = k;
	for (size_t i = 1; i <= la; i++) {
		size_t *row = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t k = 1; k <= lb; k++) {
			size_t change = last[k - 1] + (a[i - 1] != b[k - 1]);
			row[k] = pg_min(change, pg_min(last[k], row[k - 1]) + 1);
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				row[k] = pg_min(row[k], before[k - 2] + 1);
		}
	}
	return pg_min(rows[la % 3][lb], limit + 1);
}

static int unknown(const struct pg_opt_set *sets, size_t count, const char *name, size_t n,
		   struct pg_err *err)
{
	char given[NAME_MAX_LEN + 1] = "";
	const char *nearest = NULL;
	size_t best = NEAR + 1;
	memcpy(given, name, pg_min(n, NAME_MAX_LEN));
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < sets[i].count; k++) {
			size_t d = pg_text_distance(given, sets[i].opts[k].name, NEAR);
			if (d < best) {
				best = d;
				nearest = sets[i].opts[k].name;
			}
		}
	pg_fail(err, -EINVAL, "unknown option --%s", given);
	if (nearest)
		return pg_hint(err, PG_USER, "did you mean --%s?", nearest);
	return pg_hint(err, PG_USER, "--help lists the options");
}

static int add_to_list(const char ***list, const char *text)
{
	size_t n = 0;
	while (*list && (*list)[n])
		n++;
	if (n == LIST_MAX)
		return -E2BIG;
	const char **longer = pg_realloc(*list, n + 2, sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	longer[n] = text;
	longer[n + 1] = NULL;
	*list = longer;
	return 0;
}

static int choose(const struct pg_opt *o, const char **value, const char *text)
{
	for (const char *const *c = o->choices; *c; c++) {
		if (strcmp(*c, text) == 0) {
			*value = *c;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_amount(const struct pg_opt *o, uint64_t *value, const char *text)
{
	uint64_t amount = 0;
	int rc = o->kind == PG_OPT_NUMBER     ? pg_parse_u64(text, 0, UINT64_MAX, &amount)
		 : o->kind == PG_OPT_DURATION ? pg_parse_duration(text, &amount)
					      : pg_parse_size(text, &amount);
	if (rc == 0 && o->hi > 0 && (amount < o->lo || amount > o->hi))
		rc = -ERANGE;
	if (rc == 0)
		*value = amount;
	return rc;
}

static int set_flag(bool *value, const char *text)
{
	if (!text || strcmp(text, "true") == 0)
		*value = true;
	else if (strcmp(text, "false") == 0)
		*value = false;
	else
		return -EINVAL;
	return 0;
}

static int set_value(const struct slot *s, const char *text)
{
	switch (s->opt->kind) {
	case PG_OPT_FLAG:
		return set_flag(s->value, text);
	case PG_OPT_COUNT:
		++*(unsigned *)s->value;
		return text ? -EINVAL : 0;
	case PG_OPT_TEXT:
		*(const char **)s->value = text;
		return 0;
	case PG_OPT_LIST:
		return add_to_list(s->value, text);
	case PG_OPT_CHOICE:
		return choose(s->opt, s->value, text);
	default:
		return set_amount(s->opt, s->value, text);
	}
}

/* Why a value was not taken, in words that say what would have been. */
static int refuse(const struct pg_opt *o, const char *text, int code, struct pg_err *err)
{
	if (code == -ENOMEM)
		return pg_fail(err, code, "read --%s", o->name);
	pg_fail(err, -EINVAL, "--%s '%s' is %s", o->name, text ? text : "",
		code == -ERANGE  ? "out of range"
		: code == -E2BIG ? "one too many"
				 : "not understood");
	if (o->kind == PG_OPT_CHOICE) {
		char all[160] = "";
		for (const char *const *c = o->choices; *c; c++)
			snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s",
				 all[0] ? ", " : "", *c);
		return pg_hint(err, PG_USER, "one of: %s", all);
	}
	if (o->kind == PG_OPT_DURATION)
		return pg_hint(err, PG_USER, "a duration such as 90s, 5m or 1h30m");
	if (o->kind == PG_OPT_SIZE)
		return pg_hint(err, PG_USER, "a size such as 64Mi");
	if (o->kind == PG_OPT_NUMBER && o->hi > 0)
		return pg_hint(err, PG_USER, "a number from %llu to %llu",
			       (unsigned long long)o->lo, (unsigned long long)o->hi);
	return pg_hint(err, PG_USER, "--help says what it takes");
}

static int assign(const struct slot *s, const char *text, struct pg_err *err)
{
	int rc = set_value(s, text);
	return rc < 0 ? refuse(s->opt, text, rc, err) : 0;
}

/* The argument of an option that wants one: what is attached, else the next word. */
static int argument(const struct pg_opt *o, const char *attached, char **argv, int argc, int *at,
		    const char **text, struct pg_err *err)
{
	*text = attached;
	if (attached || !takes_argument(o))
		return 0;
	if (*at + 1 >= argc) {
		pg_fail(err, -EINVAL, "--%s wants %s", o->name, o->arg ? o->arg : "a value");
		return pg_hint(err, PG_USER, "--help says what it takes");
	}
	*text = argv[++*at];
	return 0;
}

static int parse_long(const struct pg_opt_set *sets, size_t count, char **argv, int argc, int *at,
		      struct pg_err *err)
{
	const char *name = argv[*at] + 2, *text;
	const char *equals = strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name);
	struct slot s = find_long(sets, count, name, n);
	if (!s.opt)
		return unknown(sets, count, name, n, err);
	int rc = argument(s.opt, equals ? equals + 1 : NULL, argv, argc, at, &text, err);
	return rc < 0 ? rc : assign(&s, text, err);
}

static int parse_letters(const struct pg_opt_set *sets, size_t count, char **argv, int argc,
			 int *at, struct pg_err *err)
{
	for (const char *p = argv[*at] + 1; *p; p++) {
		const char *text;
		struct slot s = find_letter(sets, count, *p);
		if (!s.opt) {
			pg_fail(err, -EINVAL, "unknown option -%c", *p);
			return pg_hint(err, PG_USER, "--help lists the options");
		}
		const char *attached = NULL;
		if (takes_argument(s.opt) && p[1])
			attached = p[1] == '=' ? p + 2 : p + 1;
		int rc = argument(s.opt, attached, argv, argc, at, &text, err);
		if (rc == 0)
			rc = assign(&s, text, err);
		if (rc < 0 || takes_argument(s.opt))
			return rc;
	}
	return 0;
}

static int set_defaults(const struct pg_opt_set *sets, size_t count, struct pg_err *err)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < sets[i].count; k++) {
			const struct pg_opt *o = &sets[i].opts[k];
			struct slot s = { o, (char *)sets[i].values + o->offset };
			int rc = o->standard ? assign(&s, o->standard, err) : 0;
			if (rc < 0)
				return rc;
		}
	return 0;
}

int pg_opt_parse(const struct pg_opt_set *sets, size_t set_count, int argc, char **argv,
		 struct pg_opt_words *rest, struct pg_err *err)
{
	*rest = (struct pg_opt_words){ .words = argv };
	int rc = set_defaults(sets, set_count, err);
	for (int at = 0; at < argc && rc == 0; at++) {
		char *word = argv[at];
		if (strcmp(word, "--") == 0) {
			rest->command = argv + at + 1;
			break;
		}
		if (word[0] != '-' || word[1] == '\0')
			rest->words[rest->count++] = word;
		else if (word[1] == '-')
			rc = parse_long(sets, set_count, argv, argc, &at, err);
		else
			rc = parse_letters(sets, set_count, argv, argc, &at, err);
	}
	return rc;
}

void pg_opt_fini(const struct pg_opt_set *sets, size_t set_count)
{
	for (size_t i = 0; i < set_count; i++)
		for (size_t k = 0; k < sets[i].count; k++)
			if (sets[i].opts[k].kind == PG_OPT_LIST)
				free(pg_take_ptr((char *)sets[i].values + sets[i].opts[k].offset));
}

int pg_opt_help(const struct pg_opt *opts, size_t count, struct pg_buf *out)
{
	int rc = 0;
	for (size_t i = 0; i < count && rc == 0; i++) {
		const struct pg_opt *o = &opts[i];
		char letter[5] = "    ";
		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		rc = pg_buf_addf(out, "    %s--%s%s%s", letter, o->name, o->arg ? "=" : "",
				 o->arg ? o->arg : "");
		if (rc == 0 && o->standard)
			rc = pg_buf_addf(out, " (default %s)", o->standard);
		if (rc == 0)
			rc = pg_buf_addf(out, ":\n        %s\n", o->help);
	}
	return rc;
}
