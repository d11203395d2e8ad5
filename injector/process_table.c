#include "injector/process_table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "injector/output.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"

enum {
	CELL = 256,
	SHOWN = 120,                /* columns of a command */
	COMMAND = SHOWN * 4 + 8,    /* bytes for more than those */
	LINE = CELL + COMMAND + 96, /* the numbers, too */
};

/* A listening socket and the process that it is of, 0 where the agent cannot know. */
struct holding {
	long long pid;
	size_t index; /* in the answer's array */
};

struct table {
	const json_t *sockets;
	struct holding *holdings; /* sorted by process, then as they came */
	size_t count;
	pg_process_line *print;
	void *ctx;
};

/* A member that an agent sent: text goes through pg_sanitize() before it reaches a terminal. */
static void text_of(const json_t *object, const char *name, char *out, size_t room)
{
	const char *text = json_string_value(json_object_get(object, name));
	snprintf(out, room, "%s", text ? text : "");
	pg_sanitize(out);
}

static long long number_of(const json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

/* Adds to `out`, of which `used` bytes are taken; returns how many are now, room - 1 when full. */
static size_t PG_PRINTF(4, 5) add(char *out, size_t room, size_t used, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(out + used, room - used, fmt, ap);
	va_end(ap);
	return n < 0 || (size_t)n >= room - used ? room - 1 : used + (size_t)n;
}

/* Cuts what has more than SHOWN columns, and says so. `text` has room for COMMAND bytes. */
static void shorten(char *text)
{
	if (text[pg_text_fit(text, SHOWN)] == '\0')
		return;
	size_t n = pg_text_fit(text, SHOWN - 1);
	snprintf(text + n, COMMAND - n, "…");
}

/* The words of a command line, or the name in brackets as ps(1) shows it. */
static void command_of(const json_t *process, char out[COMMAND])
{
	const json_t *words = json_object_get(process, "command");
	size_t used = 0;
	out[0] = '\0';
	for (size_t i = 0; i < json_array_size(words) && used < COMMAND - 1; i++) {
		const char *text = json_string_value(json_array_get(words, i));
		used = add(out, COMMAND, used, "%s%s", i ? " " : "", text ? text : "");
	}
	if (json_array_size(words) == 0) {
		char name[64];
		text_of(process, "name", name, sizeof(name));
		snprintf(out, COMMAND, "[%s]", name);
	}
	pg_sanitize(out);
	shorten(out);
}

static int by_process(const void *a, const void *b)
{
	const struct holding *x = a, *y = b;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* The place of the first socket of process `pid`, or of one of a greater number. */
static size_t first_of(const struct table *t, long long pid)
{
	size_t lo = 0, hi = t->count;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (t->holdings[mid].pid < pid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* "tcp 0.0.0.0:8080, ..." of what process `pid` listens on, as far as it fits. */
static void sockets_of(const struct table *t, long long pid, char out[CELL])
{
	size_t used = 0;
	out[0] = '\0';
	for (size_t i = first_of(t, pid);
	     i < t->count && t->holdings[i].pid == pid && used < CELL - 1; i++) {
		const json_t *socket = json_array_get(t->sockets, t->holdings[i].index);
		char protocol[8], address[64];
		text_of(socket, "protocol", protocol, sizeof(protocol));
		text_of(socket, "address", address, sizeof(address));
		bool is_ip6 = strchr(address, ':') != NULL;
		used = add(out, CELL, used, "%s%s %s%s%s:%lld", used ? ", " : "", protocol,
			   is_ip6 ? "[" : "", address, is_ip6 ? "]" : "",
			   number_of(socket, "port"));
	}
	pg_sanitize(out); /* it may end in half a character */
}

static void PG_PRINTF(2, 3) say(const struct table *t, const char *fmt, ...)
{
	char line[LINE];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	pg_sanitize(line);
	t->print(t->ctx, line);
}

static void say_process(const struct table *t, const json_t *process)
{
	char command[COMMAND], listens[CELL];
	long long pid = number_of(process, "pid");
	command_of(process, command);
	sockets_of(t, pid, listens);
	say(t, "%7lld %7lld %7lld  %-22s %s", pid, number_of(process, "ppid"),
	    number_of(process, "uid"), listens[0] ? listens : "-", command);
}

int pg_process_table(const json_t *root, pg_process_line *print, void *ctx)
{
	const json_t *processes = json_object_get(root, "processes");
	struct table t = { .sockets = json_object_get(root, "sockets"),
			   .print = print,
			   .ctx = ctx };
	char listens[CELL];
	t.count = json_array_size(t.sockets);
	t.holdings = pg_calloc(t.count + 1, sizeof(*t.holdings));
	if (!t.holdings)
		return -ENOMEM;
	for (size_t i = 0; i < t.count; i++)
		t.holdings[i] =
			(struct holding){ .pid = number_of(json_array_get(t.sockets, i), "pid"),
					  .index = i };
	qsort(t.holdings, t.count, sizeof(*t.holdings), by_process);
	say(&t, "%7s %7s %7s  %-22s %s", "PID", "PPID", "UID", "LISTENS", "COMMAND");
	for (size_t i = 0; i < json_array_size(processes); i++)
		say_process(&t, json_array_get(processes, i));
	sockets_of(&t, 0, listens);
	if (listens[0])
		say(&t, "of processes that this agent cannot see: %s", listens);
	free(t.holdings);
	return 0;
}
