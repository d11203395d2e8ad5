#include <stdint.h>
#include <string.h>

#include "proto/base/opt.h"

struct values {
	bool flag;
	unsigned count;
	const char *text;
	struct pg_opt_list list;
	uint64_t number, time_ms, size_bytes;
	int choice;
};

static const char *const choices[] = { "a", "bc", NULL };
static const struct pg_opt opts[] = {
	{ "flag", NULL, 'f', PG_OPT_FLAG, .help = "x", .at = offsetof(struct values, flag) },
	{ "count", NULL, 'c', PG_OPT_COUNT, .help = "x", .at = offsetof(struct values, count) },
	{ "text", "other", 't', PG_OPT_TEXT, .help = "x", .at = offsetof(struct values, text) },
	{ "list", NULL, 'l', PG_OPT_LIST, .help = "x", .at = offsetof(struct values, list) },
	{ "number", NULL, 'n', PG_OPT_U64, .hi = 9, .help = "x",
	  .at = offsetof(struct values, number) },
	{ "time", NULL, 'd', PG_OPT_DURATION, .help = "x", .at = offsetof(struct values, time_ms) },
	{ "size", NULL, 's', PG_OPT_SIZE, .help = "x", .at = offsetof(struct values, size_bytes) },
	{ "pick", NULL, 'p', PG_OPT_CHOICE, .choices = choices, .help = "x",
	  .at = offsetof(struct values, choice) },
	{ .name = NULL },
};

/* Words, separated by NULs: each is an operand, part of the command, or belongs to an option, and
 * a failure says what and how. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[512], *argv[64];
	int argc = 0;
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (size_t at = 0; at < size && argc < 64; at += strlen(text + at) + 1)
		argv[argc++] = text + at;
	struct values v = { .count = 0 };
	const struct pg_opt_set set = { "Options", opts, &v };
	struct pg_operands ops;
	struct pg_err err = { .code = 0 };
	if (pg_opts_parse(&set, 1, argc, argv, size % 2, &ops, &err) < 0) {
		if (!err.what[0] || !err.hint[0])
			abort();
		return 0;
	}
	if (ops.count + ops.command_count > argc || v.number > 9 || v.list.count > PG_OPT_LIST_MAX)
		abort();
	return 0;
}
