#include "proto/base/opt.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct values {
	bool quiet, wire;
	unsigned verbose;
	const char *context, *namespace_;
	struct pg_opt_list groups;
	uint64_t port, idle_ms, memory_bytes;
	int output;
};

static const char *const outputs[] = { "text", "json", NULL };
static const struct pg_opt first[] = {
	{ .name = "quiet",
	  .letter = 'q',
	  .kind = PG_OPT_FLAG,
	  .help = "Say nothing.",
	  .at = offsetof(struct values, quiet) },
	{ .name = "verbose",
	  .letter = 'v',
	  .kind = PG_OPT_COUNT,
	  .help = "Say more.",
	  .at = offsetof(struct values, verbose) },
	{ .name = "context",
	  .kind = PG_OPT_TEXT,
	  .argument = "NAME",
	  .help = "The context.",
	  .at = offsetof(struct values, context) },
	{ .name = "namespace",
	  .letter = 'n',
	  .kind = PG_OPT_TEXT,
	  .argument = "NAME",
	  .help = "The namespace.",
	  .at = offsetof(struct values, namespace_) },
	{ .name = NULL },
};
static const struct pg_opt second[] = {
	{ .name = "as-group",
	  .alias = "group",
	  .kind = PG_OPT_LIST,
	  .argument = "GROUP",
	  .help = "A group.",
	  .at = offsetof(struct values, groups) },
	{ .name = "port",
	  .letter = 'p',
	  .kind = PG_OPT_U64,
	  .argument = "PORT",
	  .lo = 1,
	  .hi = 65535,
	  .help = "A port.",
	  .at = offsetof(struct values, port) },
	{ .name = "idle",
	  .kind = PG_OPT_DURATION,
	  .argument = "TIME",
	  .standard = "30m",
	  .env = "PG_TEST_IDLE",
	  .lo = 1000,
	  .hi = 3600000,
	  .help = "How long.",
	  .at = offsetof(struct values, idle_ms) },
	{ .name = "memory",
	  .kind = PG_OPT_SIZE,
	  .argument = "SIZE",
	  .standard = "64Mi",
	  .lo = 8 << 20,
	  .help = "How much.",
	  .at = offsetof(struct values, memory_bytes) },
	{ .name = "output",
	  .letter = 'o',
	  .kind = PG_OPT_CHOICE,
	  .choices = outputs,
	  .standard = "text",
	  .help = "How to print.",
	  .at = offsetof(struct values, output) },
	{ .name = "wire", .kind = PG_OPT_FLAG, .at = offsetof(struct values, wire) },
	{ .name = NULL },
};

struct row {
	const char *name;
	const char *line; /* words, separated by '|' */
	const char *want; /* what tell() says, or the message and, after " | ", the hint */
	const char *env;
	bool stop;
};

static struct row rows[] = {
	{ "nothing", "", .want = "idle=1800000 memory=67108864" },
	{ "operands", "a|b", .want = "idle=1800000 memory=67108864 a b" },
	{ "long with =", "--context=x|a", .want = "context=x idle=1800000 memory=67108864 a" },
	{ "long with a word", "--context|x|a", .want = "context=x idle=1800000 memory=67108864 a" },
	{ "empty value", "--context=", .want = "context= idle=1800000 memory=67108864" },
	{ "value that looks like an option", "--context|-q",
	  .want = "context=-q idle=1800000 memory=67108864" },
	{ "short with a word", "-n|x", .want = "namespace=x idle=1800000 memory=67108864" },
	{ "short attached", "-nx", .want = "namespace=x idle=1800000 memory=67108864" },
	{ "short with =", "-n=x", .want = "namespace=x idle=1800000 memory=67108864" },
	{ "flags in a row, then a value", "-qvvnx",
	  .want = "quiet verbose=2 namespace=x idle=1800000 memory=67108864" },
	{ "mixed with operands", "a|-q|b|--context|x|c",
	  .want = "quiet context=x idle=1800000 memory=67108864 a b c" },
	{ "two dashes end it", "a|--|-q|b", .want = "idle=1800000 memory=67108864 a -- -q b" },
	{ "two dashes and nothing", "a|--", .want = "idle=1800000 memory=67108864 a --" },
	{ "one dash is an operand", "-", .want = "idle=1800000 memory=67108864 -" },
	{ "the last one counts", "--context=a|--context=b",
	  .want = "context=b idle=1800000 memory=67108864" },
	{ "flag switched off", "-q|--quiet=false", .want = "idle=1800000 memory=67108864" },
	{ "list", "--as-group=a,b|--group|c",
	  .want = "group=a group=b group=c idle=1800000 memory=67108864" },
	{ "number", "-p80", .want = "port=80 idle=1800000 memory=67108864" },
	{ "time and size", "--idle=1m30s|--memory=1Gi", .want = "idle=90000 memory=1073741824" },
	{ "choice", "-o|json", .want = "idle=1800000 memory=67108864 output=json" },
	{ "environment beats the default", "", .want = "idle=60000 memory=67108864", .env = "1m" },
	{ "option beats the environment", "--idle=2m", .want = "idle=120000 memory=67108864",
	  .env = "1m" },
	{ "hidden option", "--wire", .want = "wire idle=1800000 memory=67108864" },
	{ "stop at the first operand", "-q|redirect|--unknown|x",
	  .want = "quiet idle=1800000 memory=67108864 redirect --unknown x", .stop = true },
	{ "unknown, close to one", "--contxt=x",
	  .want = "unknown option '--contxt' | did you mean --context?" },
	{ "unknown, cut short", "--names",
	  .want = "unknown option '--names' | did you mean --namespace?" },
	{ "unknown, like none", "--zzzzzz",
	  .want = "unknown option '--zzzzzz' | --help lists the options" },
	{ "unknown letter", "-qx", .want = "unknown option '-x' | --help lists the options" },
	{ "value missing", "--context", .want = "--context needs a value | write --context NAME" },
	{ "short value missing", "-n", .want = "-n needs a value | write -n NAME" },
	{ "port 0", "-p0",
	  .want = "-p: '0' is no legal value | -p takes a number from 1 to 65535" },
	{ "no number", "--port=http",
	  .want = "--port: 'http' is no legal value | --port takes a number from 1 to 65535" },
	{ "time too long", "--idle=2h",
	  .want = "--idle: '2h' is no legal value | --idle takes a time such as 30s, 5m or 1h30m "
		  "from 1s "
		  "to 1h" },
	{ "size too small", "--memory=1Mi",
	  .want = "--memory: '1Mi' is no legal value | --memory takes a size such as 64Mi or 1Gi" },
	{ "no such choice", "--output=yaml",
	  .want = "--output: 'yaml' is no legal value | --output takes one of: text, json" },
	{ "flag with a value", "--quiet=maybe",
	  .want = "--quiet: 'maybe' is no legal value | --quiet takes true or false" },
	{ "bad environment", "",
	  .want = "PG_TEST_IDLE: 'soon' is no legal value | PG_TEST_IDLE takes a time such as 30s, "
		  "5m or "
		  "1h30m from 1s to 1h",
	  .env = "soon" },
};

static void tell(const struct values *v, const struct pg_operands *ops, struct pg_buf *b)
{
	pg_buf_add_str(b, v->quiet ? "quiet " : "");
	pg_buf_add_str(b, v->wire ? "wire " : "");
	if (v->verbose)
		pg_buf_addf(b, "verbose=%u ", v->verbose);
	if (v->context)
		pg_buf_addf(b, "context=%s ", v->context);
	if (v->namespace_)
		pg_buf_addf(b, "namespace=%s ", v->namespace_);
	for (size_t i = 0; v->groups.items[i]; i++)
		pg_buf_addf(b, "group=%s ", v->groups.items[i]);
	if (v->port)
		pg_buf_addf(b, "port=%llu ", (unsigned long long)v->port);
	pg_buf_addf(b, "idle=%llu memory=%llu", (unsigned long long)v->idle_ms,
		    (unsigned long long)v->memory_bytes);
	if (v->output)
		pg_buf_addf(b, " output=%s", outputs[v->output]);
	for (int i = 0; i < ops->count; i++)
		pg_buf_addf(b, " %s", ops->items[i]);
	if (ops->command)
		pg_buf_add_str(b, " --");
	for (int i = 0; i < ops->command_count; i++)
		pg_buf_addf(b, " %s", ops->command[i]);
}

/* Splits `line` at '|' in place. */
static int split(char *line, char **argv)
{
	int argc = 0;
	while (*line) {
		argv[argc++] = line;
		line += strcspn(line, "|");
		if (*line)
			*line++ = '\0';
	}
	return argc;
}

static void parses(void **state)
{
	const struct row *row = *state;
	struct values v = { .port = 0 };
	const struct pg_opt_set sets[] = { { "First", first, &v }, { "Second", second, &v } };
	char line[256], *argv[16];
	struct pg_operands ops;
	struct pg_err err = { .code = 0 };
	struct pg_buf story = PG_BUF_INIT(4096);
	snprintf(line, sizeof(line), "%s", row->line);
	if (row->env)
		setenv("PG_TEST_IDLE", row->env, 1);
	else
		unsetenv("PG_TEST_IDLE");
	int rc = pg_opts_init(sets, 2, &err);
	if (rc == 0)
		rc = pg_opts_parse(sets, 2, split(line, argv), argv, row->stop, &ops, &err);
	if (rc < 0) {
		assert_int_equal(rc, -EINVAL);
		assert_int_equal(err.whose, PG_USER);
		pg_buf_addf(&story, "%s | %s", err.what, err.hint);
	} else {
		tell(&v, &ops, &story);
	}
	assert_string_equal(pg_buf_str(&story), row->want);
	pg_buf_fini(&story);
}

static void tells_of_options(void **state)
{
	(void)state;
	struct pg_buf out = PG_BUF_INIT(1 << 16);
	const struct pg_opt_set set = { "Options", second, NULL };
	assert_int_equal(pg_opts_help(&set, &out), 0);
	assert_string_equal(pg_buf_str(&out),
			    "Options:\n"
			    "    --as-group, --group=GROUP:\n"
			    "        A group.\n\n"
			    "    -p, --port=PORT:\n"
			    "        A port.\n\n"
			    "    --idle=TIME:\n"
			    "        How long. Also from PG_TEST_IDLE. (default 30m)\n\n"
			    "    --memory=SIZE:\n"
			    "        How much. (default 64Mi)\n\n"
			    "    -o, --output=text|json:\n"
			    "        How to print. (default text)\n\n");
	pg_buf_fini(&out);
}

static void wraps_at_80_columns(void **state)
{
	(void)state;
	struct pg_buf out = PG_BUF_INIT(4096);
	assert_int_equal(
		pg_text_wrap("The quick brown fox jumps over the lazy dog, and the dog does not "
			     "even look up from its dream.\n\nEnd.",
			     8, &out),
		0);
	assert_string_equal(
		pg_buf_str(&out),
		"        The quick brown fox jumps over the lazy dog, and the dog does not even\n"
		"        look up from its dream.\n\n"
		"        End.\n");
	pg_buf_fini(&out);
}

/* More than a list holds is refused, not cut. */
static void a_list_has_an_end(void **state)
{
	(void)state;
	struct values v = { .port = 0 };
	const struct pg_opt_set set = { "", second, &v };
	char word[] = "--group=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", again[sizeof(word)];
	char *argv[] = { word, again };
	struct pg_operands ops;
	struct pg_err err;
	memcpy(again, word, sizeof(word));
	assert_int_equal(pg_opts_parse(&set, 1, 2, argv, false, &ops, &err), -EINVAL);
	assert_string_equal(err.hint, "--group takes at most 32 values");
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(rows) + 3] = {
		cmocka_unit_test(tells_of_options),
		cmocka_unit_test(wraps_at_80_columns),
		cmocka_unit_test(a_list_has_an_end),
	};
	for (size_t i = 0; i < PG_LEN(rows); i++)
		tests[i + 3] = (struct CMUnitTest){ rows[i].name, parses, NULL, NULL, &rows[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
