#include "injector/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "proto/io/loop.h"

enum { STATUS_PERIOD_US = 250000, LINE_MAX_BYTES = 2048, WIDTH_DEFAULT = 80 };

#define CLEAR_LINE "\r\x1b[K"
#define RED        "\x1b[1;31m"
#define BLUE       "\x1b[1;36m"
#define PLAIN      "\x1b[0m"

static bool is_terminal(FILE *f)
{
	const char *term = getenv("TERM");
	return isatty(fileno(f)) == 1 && term && *term && strcmp(term, "dumb") != 0;
}

static void before_log(void *ctx)
{
	pg_output_status_clear(ctx);
}

/* A warning of library code is an event for programs, like every other warning. */
static bool take_log(void *ctx, enum pg_level level, const char *line)
{
	struct pg_output *o = ctx;
	if (o->format != PG_FORMAT_JSON || level > PG_WARN)
		return false;
	pg_output_event(o, "warning", "{s:s}", "message", line);
	return true;
}

void pg_output_init(struct pg_output *o, enum pg_format format, bool quiet, unsigned verbose)
{
	const char *no_color = getenv("NO_COLOR");
	bool terminal = is_terminal(stderr);
	enum pg_level level = format == PG_FORMAT_JSON || quiet ? PG_WARN : PG_INFO;
	*o = (struct pg_output){
		.format = format,
		.log = { .level = verbose ? PG_DEBUG : level,
			 .to = stderr,
			 .prefix = "",
			 .before = before_log,
			 .take = take_log,
			 .ctx = o },
		.results = stdout,
		.words = stderr,
		.quiet = quiet,
		.live = terminal && !quiet && format == PG_FORMAT_TEXT,
		.colour = terminal && !(no_color && *no_color),
	};
}

void pg_output_leave_stdout(struct pg_output *o)
{
	o->results = o->words;
}

void pg_output_fini(struct pg_output *o)
{
	pg_output_status_clear(o);
	fflush(o->results);
	fflush(o->words);
}

/* Text that does not fit what stdio keeps is written at once: its failure is known here only. */
static void put_results(struct pg_output *o, const char *text)
{
	if (fputs(text, o->results) == EOF && o->write_code == 0)
		o->write_code = -errno;
}

static void flush_results(struct pg_output *o)
{
	if (fflush(o->results) != 0 && o->write_code == 0)
		o->write_code = -errno;
}

int pg_output_written(struct pg_output *o, struct pg_err *err)
{
	flush_results(o);
	if (o->write_code == 0)
		return 0;
	o->format = PG_FORMAT_TEXT; /* the rest can be told on stderr only */
	pg_fail(err, o->write_code, "write the results");
	return pg_hint(err, PG_LOCAL, "is the disk full, or stdout closed?");
}

/* One line: `text` without what could steer a terminal. */
static void write_line(struct pg_output *o, FILE *to, const char *before, char *text)
{
	pg_output_status_clear(o);
	pg_sanitize(text);
	if (to == o->results) { /* nothing stands before one */
		put_results(o, text);
		put_results(o, "\n");
		flush_results(o);
		return;
	}
	fprintf(to, "%s%s\n", before, text);
	fflush(to);
}

void pg_output_text(struct pg_output *o, const char *text)
{
	put_results(o, text);
	flush_results(o);
}

void pg_output_print(struct pg_output *o, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	if (o->format != PG_FORMAT_TEXT)
		return;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	write_line(o, o->results, "", line);
}

void pg_output_info(struct pg_output *o, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	if (o->format != PG_FORMAT_TEXT || o->quiet)
		return;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	write_line(o, o->words, "", line);
}

void pg_output_warn(struct pg_output *o, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (o->format == PG_FORMAT_TEXT) {
		write_line(o, o->words, "warning: ", line);
		return;
	}
	pg_sanitize(line); /* which makes it valid UTF-8, too */
	pg_output_event(o, "warning", "{s:s}", "message", line);
}

void pg_output_json(struct pg_output *o, json_t *value)
{
	if (o->format == PG_FORMAT_JSON) {
		/* In ASCII: U+0080 to U+009F steer a terminal like the controls below them. */
		const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII;
		char *text = value ? json_dumps(value, flags) : NULL;
		put_results(o, text ? text
				    : "{\"event\":\"warning\",\"message\":\"an event was lost\"}");
		put_results(o, "\n");
		flush_results(o);
		free(text);
	}
	json_decref(value);
}

void pg_output_event(struct pg_output *o, const char *name, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	/* In text as well: the values of "o" are ours to release. */
	json_t *members = json_vpack_ex(NULL, 0, fmt, ap);
	va_end(ap);
	json_t *event = json_pack("{s:s}", "event", name);
	if (!members || json_object_update(event, members) < 0) {
		json_decref(event);
		event = NULL;
	}
	json_decref(members);
	pg_output_json(o, event);
}

json_t *pg_output_time(int64_t unix_s)
{
	return unix_s > 0 ? json_integer((json_int_t)unix_s) : NULL;
}

size_t pg_text_fit(const char *text, size_t columns)
{
	size_t n = 0;
	while (text[n]) {
		bool begins = ((unsigned char)text[n] & 0xc0) != 0x80;
		if (begins && columns-- == 0)
			break;
		n++;
	}
	return n;
}

static size_t width_of(FILE *f)
{
	struct winsize size;
	if (ioctl(fileno(f), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return WIDTH_DEFAULT;
	return size.ws_col;
}

static void draw_status(struct pg_output *o)
{
	size_t n = pg_text_fit(o->status, width_of(o->words) - 1); /* the last column would wrap */
	fprintf(o->words, CLEAR_LINE "%.*s", (int)n, o->status);
	fflush(o->words);
	o->status_shown = true;
	o->status_us = pg_now_us();
}

void pg_output_status(struct pg_output *o, const char *fmt, ...)
{
	if (!o->live)
		return;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(o->status, sizeof(o->status), fmt, ap);
	va_end(ap);
	pg_sanitize(o->status);
	if (!o->status_shown || pg_now_us() - o->status_us >= STATUS_PERIOD_US)
		draw_status(o);
}

void pg_output_status_clear(struct pg_output *o)
{
	if (!o->status_shown)
		return;
	fputs(CLEAR_LINE, o->words);
	fflush(o->words);
	o->status_shown = false;
}

void pg_output_waiting(struct pg_output *o, const char *what, uint64_t waited_ms)
{
	unsigned long long seconds = waited_ms / 1000;
	if (!*what)
		return;
	if (o->live) {
		pg_output_status(o, "waiting for %s (%llu s)", what, seconds);
		return;
	}
	if (seconds < o->told_s)
		o->told_s = 0; /* another wait */
	if (o->told_s != 0 && seconds < o->told_s + 10 - o->told_s % 10)
		return;
	o->told_s = seconds;
	pg_output_info(o, "waiting for %s (%llu s)", what, seconds);
	pg_output_event(o, "waiting", "{s:s, s:I}", "for", what, "seconds", (json_int_t)seconds);
}

/* The exit code stands in "code", the class's name in "class". */
static json_t *error_object(const char *message, const char *hint, const struct pg_err *err)
{
	return json_pack("{s:{s:s, s:s, s:s, s:i}}", "error", "message", message, "hint", hint,
			 "class", pg_whose_name((enum pg_whose)err->whose), "code",
			 pg_err_exit(err));
}

void pg_output_error(struct pg_output *o, const struct pg_err *err)
{
	struct pg_err clean = *err;
	pg_sanitize(clean.what);
	pg_sanitize(clean.hint);
	if (o->format == PG_FORMAT_JSON) {
		pg_output_json(o, error_object(clean.what, clean.hint, err));
		return;
	}
	pg_output_status_clear(o);
	fprintf(o->words, "%spodgraft:%s %s\n", o->colour ? RED : "", o->colour ? PLAIN : "",
		clean.what);
	if (clean.hint[0])
		fprintf(o->words, "  %shint:%s %s\n", o->colour ? BLUE : "", o->colour ? PLAIN : "",
			clean.hint);
	fflush(o->words);
}
