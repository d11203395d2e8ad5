#include <errno.h>
#include <string.h>

#include "proto/base/num.h"
#include "proto/base/opt.h"

enum { COLUMNS = 80, WORD_MAX = 48, INDENT = 4 };

static int add_spaces(struct pg_buf *out, int n)
{
	return pg_buf_addf(out, "%*s", n, "");
}

/* One line of whole words from `text`, at most `width` bytes: where the next one begins. */
static size_t line_length(const char *text, size_t width)
{
	size_t end = strcspn(text, "\n");
	if (end <= width)
		return end;
	size_t n = width;
	while (n > 0 && text[n] != ' ')
		n--;
	return n > 0 ? n : strcspn(text, " \n"); /* a word that is too long stays whole */
}

int pg_text_wrap(const char *text, int indent, struct pg_buf *out)
{
	int rc = 0;
	while (*text && rc == 0) {
		size_t n = line_length(text, (size_t)(COLUMNS - indent));
		rc = n > 0 ? add_spaces(out, indent) : 0;
		if (rc == 0)
			rc = pg_buf_add(out, text, n);
		if (rc == 0)
			rc = pg_buf_add_str(out, "\n");
		text += n + (text[n] == ' ' || text[n] == '\n');
	}
	return rc;
}

/* "    -n, --namespace=NAME:" */
static int add_head(const struct pg_opt *opt, struct pg_buf *out)
{
	int rc = add_spaces(out, INDENT);
	if (rc == 0 && opt->letter)
		rc = pg_buf_addf(out, "-%c, ", opt->letter);
	if (rc == 0)
		rc = pg_buf_addf(out, "--%s", opt->name);
	if (rc == 0 && opt->alias)
		rc = pg_buf_addf(out, ", --%s", opt->alias);
	if (rc == 0 && opt->kind == PG_OPT_CHOICE)
		for (size_t i = 0; opt->choices[i] && rc == 0; i++)
			rc = pg_buf_addf(out, "%c%s", i ? '|' : '=', opt->choices[i]);
	else if (rc == 0 && opt->argument)
		rc = pg_buf_addf(out, "=%s", opt->argument);
	return rc < 0 ? rc : pg_buf_add_str(out, ":\n");
}

static int add_option(const struct pg_opt *opt, struct pg_buf *out)
{
	struct pg_buf text = PG_BUF_INIT(4096);
	int rc = pg_buf_add_str(&text, opt->help);
	if (rc == 0 && opt->env)
		rc = pg_buf_addf(&text, " Also from %s.", opt->env);
	if (rc == 0 && opt->standard)
		rc = pg_buf_addf(&text, " (default %s)", opt->standard);
	if (rc == 0)
		rc = add_head(opt, out);
	if (rc == 0)
		rc = pg_text_wrap(pg_buf_str(&text), 2 * INDENT, out);
	pg_buf_fini(&text);
	return rc < 0 ? rc : pg_buf_add_str(out, "\n");
}

int pg_opts_help(const struct pg_opt_set *set, struct pg_buf *out)
{
	int rc = pg_buf_addf(out, "%s:\n", set->title);
	for (const struct pg_opt *opt = set->opts; opt->name && rc == 0; opt++)
		if (opt->help)
			rc = add_option(opt, out);
	return rc;
}

/* Levenshtein's distance of two words of at most WORD_MAX bytes. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t row[WORD_MAX + 1];
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t change = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			row[j] = pg_min(change, pg_min(row[j], row[j - 1]) + 1);
		}
	}
	return row[b_len];
}

const char *pg_closest(const char *text, const char *const *names, size_t count)
{
	size_t n = strlen(text);
	size_t best = pg_max(n / 3, 1); /* more changes than that are another word */
	const char *closest = NULL;
	if (n > WORD_MAX || n == 0)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(names[i]);
		size_t d = length <= WORD_MAX ? distance(text, n, names[i], length) : SIZE_MAX;
		bool begins = n >= 3 && strncmp(text, names[i], n) == 0;
		if (begins)
			d = 0; /* cut short, as in --namesp */
		if (d > best || (d == best && closest))
			continue;
		best = d;
		closest = names[i];
	}
	return closest;
}
