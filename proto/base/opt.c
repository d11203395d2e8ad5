#include "proto/base/opt.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/num.h"

enum { NAMES_MAX = 128 };

/* Where the option's value goes. */
static void *member_of(const struct pg_opt_set *set, const struct pg_opt *opt)
{
	return (char *)set->values + opt->at;
}

static bool takes_value(const struct pg_opt *opt)
{
	return opt->kind != PG_OPT_FLAG && opt->kind != PG_OPT_COUNT;
}

static int set_flag(void *member, const char *value)
{
	bool on = !value || strcmp(value, "true") == 0;
	if (!on && strcmp(value, "false") != 0)
		return -EINVAL;
	memcpy(member, &on, sizeof(on));
	return 0;
}

static int set_count(void *member, const char *value)
{
	unsigned n;
	if (value)
		return -EINVAL;
	memcpy(&n, member, sizeof(n));
	n++;
	memcpy(member, &n, sizeof(n));
	return 0;
}

/* Adds each of the texts between the commas of `value`. */
static int add_to_list(struct pg_opt_list *list, const char *value)
{
	for (;;) {
		size_t n = strcspn(value, ",");
		if (list->count == PG_OPT_LIST_MAX || n >= sizeof(list->text) - list->used)
			return -E2BIG;
		char *copy = list->text + list->used;
		memcpy(copy, value, n);
		copy[n] = '\0';
		list->used += n + 1;
		list->items[list->count++] = copy;
		list->items[list->count] = NULL;
		if (value[n] == '\0')
			return 0;
		value += n + 1;
	}
}

static int set_number(const struct pg_opt *opt, void *member, const char *value)
{
	uint64_t n = 0;
	int rc = opt->kind == PG_OPT_DURATION ? pg_parse_duration(value, &n)
		 : opt->kind == PG_OPT_SIZE   ? pg_parse_size(value, &n)
					      : pg_parse_u64(value, 0, UINT64_MAX, &n);
	if (rc < 0)
		return rc;
	if (n < opt->lo || (opt->hi > 0 && n > opt->hi))
		return -ERANGE;
	memcpy(member, &n, sizeof(n));
	return 0;
}

static int set_choice(const struct pg_opt *opt, void *member, const char *value)
{
	for (int i = 0; opt->choices[i]; i++) {
		if (strcmp(opt->choices[i], value) != 0)
			continue;
		memcpy(member, &i, sizeof(i));
		return 0;
	}
	return -EINVAL;
}

/* `value` is NULL for a flag without one. -EINVAL, -ERANGE, -E2BIG. */
static int store(const struct pg_opt_set *set, const struct pg_opt *opt, const char *value)
{
	void *member = member_of(set, opt);
	switch (opt->kind) {
	case PG_OPT_FLAG:
		return set_flag(member, value);
	case PG_OPT_COUNT:
		return set_count(member, value);
	case PG_OPT_TEXT:
		memcpy(member, &value, sizeof(value));
		return 0;
	case PG_OPT_LIST:
		return add_to_list(member, value);
	case PG_OPT_U64:
	case PG_OPT_DURATION:
	case PG_OPT_SIZE:
		return set_number(opt, member, value);
	case PG_OPT_CHOICE:
		return set_choice(opt, member, value);
	}
	return -EINVAL;
}

/* "30s", "64Mi", "65535": a bound in the notation of its option. */
static void format_bound(const struct pg_opt *opt, uint64_t n, char *out, size_t size)
{
	static const struct {
		enum pg_opt_kind kind;
		uint64_t factor;
		const char *unit;
	} units[] = {
		{ PG_OPT_DURATION, 3600000, "h" }, { PG_OPT_DURATION, 60000, "m" },
		{ PG_OPT_DURATION, 1000, "s" },    { PG_OPT_DURATION, 1, "ms" },
		{ PG_OPT_SIZE, 1ull << 30, "Gi" }, { PG_OPT_SIZE, 1ull << 20, "Mi" },
		{ PG_OPT_SIZE, 1ull << 10, "Ki" },
	};
	for (size_t i = 0; n > 0 && i < PG_LEN(units); i++)
		if (units[i].kind == opt->kind && n % units[i].factor == 0) {
			snprintf(out, size, "%llu%s", (unsigned long long)(n / units[i].factor),
				 units[i].unit);
			return;
		}
	snprintf(out, size, "%llu", (unsigned long long)n);
}

static void join_choices(const struct pg_opt *opt, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (size_t i = 0; opt->choices[i] && used < size; i++) {
		int n = snprintf(out + used, size - used, "%s%s", i ? ", " : "", opt->choices[i]);
		used += n > 0 ? (size_t)n : 0;
	}
}

/* What a legal value looks like, for a hint. */
static void describe(const struct pg_opt *opt, char *out, size_t size)
{
	char lo[32], hi[32], list[160];
	format_bound(opt, opt->lo, lo, sizeof(lo));
	format_bound(opt, opt->hi, hi, sizeof(hi));
	const char *what = opt->kind == PG_OPT_DURATION ? "a time such as 30s, 5m or 1h30m"
			   : opt->kind == PG_OPT_SIZE   ? "a size such as 64Mi or 1Gi"
							: "a number";
	switch (opt->kind) {
	case PG_OPT_FLAG:
		snprintf(out, size, "true or false");
		return;
	case PG_OPT_COUNT:
		snprintf(out, size, "no value; repeat it for more");
		return;
	case PG_OPT_CHOICE:
		join_choices(opt, list, sizeof(list));
		snprintf(out, size, "one of: %s", list);
		return;
	case PG_OPT_LIST:
		snprintf(out, size, "at most %d values", PG_OPT_LIST_MAX);
		return;
	default:
		if (opt->hi > 0)
			snprintf(out, size, "%s from %s to %s", what, lo, hi);
		else
			snprintf(out, size, "%s", what);
	}
}

/* `how` is the option as the user wrote it, or the variable's name. */
static int bad_value(const struct pg_opt *opt, const char *how, const char *value,
		     struct pg_err *err)
{
	char legal[256];
	describe(opt, legal, sizeof(legal));
	pg_fail(err, -EINVAL, "%s: '%s' is no legal value", how, value ? value : "");
	return pg_hint(err, PG_USER, "%s takes %s", how, legal);
}

int pg_opts_init(const struct pg_opt_set *sets, size_t set_total, struct pg_err *err)
{
	for (size_t s = 0; s < set_total; s++) {
		for (const struct pg_opt *opt = sets[s].opts; opt->name; opt++) {
			const char *value = opt->env ? getenv(opt->env) : NULL;
			bool is_env = value && *value;
			if (!is_env)
				value = opt->standard;
			if (!value || store(&sets[s], opt, value) == 0)
				continue;
			assert(is_env); /* a default of ours is legal */
			return bad_value(opt, opt->env, value, err);
		}
	}
	return 0;
}

/* The option whose long name is the `n` bytes at `name`, or whose letter is `letter`. */
static const struct pg_opt *find(const struct pg_opt_set *sets, size_t set_total, const char *name,
				 size_t n, char letter, const struct pg_opt_set **set_out)
{
	for (size_t s = 0; s < set_total; s++) {
		for (const struct pg_opt *opt = sets[s].opts; opt->name; opt++) {
			bool is_name =
				name && strlen(opt->name) == n && memcmp(opt->name, name, n) == 0;
			bool is_alias = name && opt->alias && strlen(opt->alias) == n &&
					memcmp(opt->alias, name, n) == 0;
			if (!is_name && !is_alias && (!letter || opt->letter != letter))
				continue;
			*set_out = &sets[s];
			return opt;
		}
	}
	return NULL;
}

static int unknown(const struct pg_opt_set *sets, size_t set_total, const char *name, size_t n,
		   struct pg_err *err)
{
	const char *names[NAMES_MAX];
	size_t count = 0;
	char text[64];
	snprintf(text, sizeof(text), "%.*s", (int)n, name);
	for (size_t s = 0; s < set_total; s++)
		for (const struct pg_opt *opt = sets[s].opts; opt->name && count < NAMES_MAX; opt++)
			if (opt->help)
				names[count++] = opt->name;
	const char *closest = pg_closest(text, names, count);
	pg_fail(err, -EINVAL, "unknown option '--%s'", text);
	if (closest)
		return pg_hint(err, PG_USER, "did you mean --%s?", closest);
	return pg_hint(err, PG_USER, "--help lists the options");
}

static int needs_value(const struct pg_opt *opt, const char *how, struct pg_err *err)
{
	pg_fail(err, -EINVAL, "%s needs a value", how);
	return pg_hint(err, PG_USER, "write %s %s", how, opt->argument ? opt->argument : "VALUE");
}

/* A walk over argv. */
struct walk {
	const struct pg_opt_set *sets;
	size_t set_count;
	int argc, next;
	char **argv;
	struct pg_err *err;
};

/* The value of an option: what is attached to it, else the next word. */
static int take_value(struct walk *w, const struct pg_opt *opt, const char *how,
		      const char *attached, const char **out)
{
	if (!attached && w->next >= w->argc)
		return needs_value(opt, how, w->err);
	*out = attached ? attached : w->argv[w->next++];
	return 0;
}

static int parse_long(struct walk *w, const char *word)
{
	const struct pg_opt_set *set = NULL;
	const char *name = word + 2, *value = NULL;
	size_t n = strcspn(name, "=");
	const struct pg_opt *opt = find(w->sets, w->set_count, name, n, 0, &set);
	if (!opt)
		return unknown(w->sets, w->set_count, name, n, w->err);
	char how[64];
	snprintf(how, sizeof(how), "--%.*s", (int)n, name);
	if (name[n] == '=')
		value = name + n + 1;
	int rc = takes_value(opt) ? take_value(w, opt, how, value, &value) : 0;
	if (rc < 0)
		return rc;
	return store(set, opt, value) < 0 ? bad_value(opt, how, value, w->err) : 0;
}

/* "-n", "-nVALUE", "-n=VALUE", "-qv". */
static int parse_short(struct walk *w, const char *word)
{
	for (const char *p = word + 1; *p; p++) {
		const struct pg_opt_set *set = NULL;
		const char *value = NULL;
		const char how[] = { '-', *p, '\0' };
		const struct pg_opt *opt = find(w->sets, w->set_count, NULL, 0, *p, &set);
		if (!opt) {
			pg_fail(w->err, -EINVAL, "unknown option '%s'", how);
			return pg_hint(w->err, PG_USER, "--help lists the options");
		}
		bool attached = p[1] == '=' || (takes_value(opt) && p[1] != '\0');
		if (attached)
			value = p + 1 + (p[1] == '=');
		int rc = takes_value(opt) ? take_value(w, opt, how, value, &value) : 0;
		if (rc < 0)
			return rc;
		if (store(set, opt, value) < 0)
			return bad_value(opt, how, value, w->err);
		if (attached || takes_value(opt))
			return 0;
	}
	return 0;
}

int pg_opts_parse(const struct pg_opt_set *sets, size_t set_total, int argc, char **argv, bool stop,
		  struct pg_operands *out, struct pg_err *err)
{
	struct walk w = { sets, set_total, argc, 0, argv, err };
	struct pg_operands found = { .items = argv };
	while (w.next < argc) {
		char *word = argv[w.next++];
		int rc = 0;
		if (strcmp(word, "--") == 0) {
			found.command = argv + w.next;
			found.command_count = argc - w.next;
			break;
		}
		if (strncmp(word, "--", 2) == 0) {
			rc = parse_long(&w, word);
		} else if (word[0] == '-' && word[1] != '\0') {
			rc = parse_short(&w, word);
		} else if (stop) {
			found.items = argv + w.next - 1;
			found.count = argc - w.next + 1;
			break;
		} else {
			argv[found.count++] = word; /* never beyond what was read */
		}
		if (rc < 0)
			return rc;
	}
	*out = found;
	return 0;
}
