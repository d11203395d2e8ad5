#include "injector/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/io/loop.h"

/* An output whose stdout is a file in memory and whose stderr is one, too, or a terminal. */
struct fixture {
	struct pg_output o;
	char *out, *words;
	size_t out_len, words_len;
	int master;
};

static void begin(struct fixture *f, enum pg_format format, bool quiet)
{
	*f = (struct fixture){ .master = -1 };
	pg_output_init(&f->o, format, quiet, 0);
	f->o.results = open_memstream(&f->out, &f->out_len);
	f->o.words = f->o.log.to = open_memstream(&f->words, &f->words_len);
	f->o.live = f->o.colour = false;
	assert_true(f->o.results && f->o.words);
}

static void end(struct fixture *f, const char *out, const char *words)
{
	pg_output_fini(&f->o);
	fclose(f->o.results);
	fclose(f->o.words);
	assert_string_equal(f->out, out);
	if (words)
		assert_string_equal(f->words, words);
	free(f->out);
	free(f->words);
	if (f->master >= 0)
		close(f->master);
}

/* Makes the words go to a real terminal of 20 columns. */
static void on_terminal(struct fixture *f)
{
	const struct winsize size = { .ws_row = 24, .ws_col = 20 };
	f->master = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(f->master >= 0 && grantpt(f->master) == 0 && unlockpt(f->master) == 0);
	FILE *slave = fopen(ptsname(f->master), "w");
	assert_non_null(slave);
	assert_int_equal(ioctl(fileno(slave), TIOCSWINSZ, &size), 0);
	fclose(f->o.words);
	free(f->words);
	f->words = NULL;
	f->o.words = f->o.log.to = slave;
	f->o.live = true;
}

/* That the terminal is sent this next, and no more; it may come in pieces. */
static void assert_screen(struct fixture *f, const char *want)
{
	struct pollfd ready = { .fd = f->master, .events = POLLIN };
	char text[1024];
	size_t n = 0;
	while (n < strlen(want) && poll(&ready, 1, 5000) == 1) {
		ssize_t got = read(f->master, text + n, sizeof(text) - 1 - n);
		assert_true(got > 0);
		n += (size_t)got;
	}
	text[n] = '\0';
	assert_string_equal(text, want);
	assert_int_equal(poll(&ready, 1, 0), 0);
}

static void text_for_people(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f, PG_FORMAT_TEXT, false);
	pg_output_info(&f.o, "redirecting %d", 80);
	pg_output_print(&f.o, "a\tresult");
	pg_output_warn(&f.o, "watch \x1b[1mout");
	pg_output_event(&f.o, "armed", "{s:i, s:o}", "port", 80, "taken", json_array());
	pg_output_status(&f.o, "never seen");
	pg_log(&f.o.log, PG_INFO, "from below");
	pg_log(&f.o.log, PG_DEBUG, "too much");
	end(&f, "a\tresult\n", "redirecting 80\nwarning: watch ?[1mout\nfrom below\n");
}

static void quiet_leaves_results_and_warnings(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f, PG_FORMAT_TEXT, true);
	pg_output_info(&f.o, "redirecting");
	pg_output_print(&f.o, "result");
	pg_output_warn(&f.o, "careful");
	pg_log(&f.o.log, PG_INFO, "from below");
	pg_output_waiting(&f.o, "a pod", 5000);
	end(&f, "result\n", "warning: careful\n");
}

static void a_warning_of_library_code_is_an_event_for_programs(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f, PG_FORMAT_JSON, false);
	f.o.log.level = PG_DEBUG;
	pg_log(&f.o.log, PG_WARN, "port %d: parked", 80);
	pg_log(&f.o.log, PG_DEBUG, "a detail");
	end(&f, "{\"event\":\"warning\",\"message\":\"port 80: parked\"}\n", "a detail\n");
	begin(&f, PG_FORMAT_TEXT, false);
	pg_log(&f.o.log, PG_WARN, "port %d: parked", 80);
	end(&f, "", "port 80: parked\n");
}

static void json_for_programs(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f, PG_FORMAT_JSON, false);
	pg_output_info(&f.o, "redirecting");
	pg_output_print(&f.o, "result");
	pg_output_event(&f.o, "armed", "{s:i, s:s}", "port", 80, "pod", "web-0");
	pg_output_warn(&f.o, "bad \xff byte");
	pg_output_waiting(&f.o, "a pod", 1000);
	pg_output_json(&f.o, json_pack("{s:[i,i]}", "ports", 1, 2));
	pg_output_event(&f.o, "broken", "{s:s}", "text", "\xff");
	end(&f,
	    "{\"event\":\"armed\",\"port\":80,\"pod\":\"web-0\"}\n"
	    "{\"event\":\"warning\",\"message\":\"bad ? byte\"}\n"
	    "{\"event\":\"waiting\",\"for\":\"a pod\",\"seconds\":1}\n"
	    "{\"ports\":[1,2]}\n"
	    "{\"event\":\"warning\",\"message\":\"an event was lost\"}\n",
	    "");
}

static void errors(void **state)
{
	(void)state;
	struct fixture f;
	struct pg_err err;
	pg_fail(&err, -ENOENT, "pod 'x\x1b' not found.");
	pg_hint(&err, PG_TARGET, "look at %s", "it");
	begin(&f, PG_FORMAT_TEXT, true);
	pg_output_error(&f.o, &err);
	end(&f, "", "podgraft: pod 'x?' not found\n  hint: look at it\n");
	begin(&f, PG_FORMAT_JSON, false);
	pg_output_error(&f.o, &err);
	end(&f,
	    "{\"error\":{\"message\":\"pod 'x?' not found\",\"hint\":\"look at it\","
	    "\"class\":\"target\",\"code\":4}}\n",
	    "");
	begin(&f, PG_FORMAT_TEXT, false);
	f.o.colour = true;
	pg_fail(&err, -EIO, "broken.");
	pg_output_error(&f.o, &err);
	end(&f, "", "\x1b[1;31mpodgraft:\x1b[0m broken\n");
}

static void waits_without_a_terminal_are_told_now_and_then(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f, PG_FORMAT_TEXT, false);
	for (uint64_t s = 1; s <= 25; s++)
		pg_output_waiting(&f.o, "the image", s * 1000);
	pg_output_waiting(&f.o, "the agent", 1000); /* another wait */
	pg_output_waiting(&f.o, "", 2000);
	end(&f, "",
	    "waiting for the image (1 s)\nwaiting for the image (10 s)\n"
	    "waiting for the image (20 s)\nwaiting for the agent (1 s)\n");
}

static void the_live_line_stays_one_line(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f, PG_FORMAT_TEXT, false);
	on_terminal(&f);
	pg_output_status(&f.o, "3 connections, \xe2\x86\x91 10 MB, \xe2\x86\x93 2 MB");
	assert_screen(&f, "\r\x1b[K3 connections, \xe2\x86\x91 10");
	f.o.status_us = pg_now_us();
	pg_output_status(&f.o, "too soon");
	pg_output_info(&f.o, "a line");
	assert_screen(&f, "\r\x1b[Ka line\r\n");
	pg_output_status(&f.o, "again");
	assert_screen(&f, "\r\x1b[Kagain");
	pg_log(&f.o.log, PG_WARN, "from below");
	assert_screen(&f, "\r\x1b[Kfrom below\r\n");
	pg_output_waiting(&f.o, "a pod", 3000);
	assert_screen(&f, "\r\x1b[Kwaiting for a pod (");
	f.o.status_us -= 300000;
	pg_output_status(&f.o, "later");
	assert_screen(&f, "\r\x1b[Klater");
	pg_output_fini(&f.o);
	assert_screen(&f, "\r\x1b[K");
	end(&f, "", NULL);
}

static void a_time_that_nobody_knows_is_left_out(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, PG_FORMAT_JSON, false);
	pg_output_event(&f.o, "held", "{s:s, s:o*}", "by", "ann", "since", pg_output_time(7));
	pg_output_event(&f.o, "held", "{s:s, s:o*}", "by", "ann", "since", pg_output_time(0));
	end(&f,
	    "{\"event\":\"held\",\"by\":\"ann\",\"since\":7}\n"
	    "{\"event\":\"held\",\"by\":\"ann\"}\n",
	    "");
}

static struct fit {
	const char *name, *text;
	size_t columns, bytes;
} fits[] = {
	{ "fits", "abc", 3, 3 },
	{ "cut", "abcd", 3, 3 },
	{ "no room", "abc", 0, 0 },
	{ "nothing", "", 5, 0 },
	{ "whole characters", "\xc3\xa4\xc3\xb6\xc3\xbc", 2, 4 },
	{ "a character at the end", "a\xe2\x86\x91", 2, 4 },
};

static void fit(void **state)
{
	const struct fit *row = *state;
	assert_int_equal(pg_text_fit(row->text, row->columns), row->bytes);
}

/* What is longer than stdio keeps is written before the flush. */
static void why_results_do_not_arrive_is_known_however_long_they_are(void **state)
{
	static const int lengths[] = { 10, 20000 };
	char text[20001];
	(void)state;
	for (size_t i = 0; i < PG_LEN(lengths); i++) {
		struct pg_output o;
		struct pg_err err;
		memset(text, 'x', sizeof(text));
		text[lengths[i]] = '\0';
		pg_output_init(&o, PG_FORMAT_TEXT, false, 0);
		o.results = fopen("/dev/full", "w");
		assert_non_null(o.results);
		pg_output_text(&o, text);
		assert_int_equal(pg_output_written(&o, &err), -ENOSPC);
		assert_int_equal(err.whose, PG_LOCAL);
		fclose(o.results);
	}
}

int main(void)
{
	enum { OTHERS = 9 };
	struct CMUnitTest tests[PG_LEN(fits) + OTHERS] = {
		cmocka_unit_test(text_for_people),
		cmocka_unit_test(quiet_leaves_results_and_warnings),
		cmocka_unit_test(json_for_programs),
		cmocka_unit_test(a_time_that_nobody_knows_is_left_out),
		cmocka_unit_test(a_warning_of_library_code_is_an_event_for_programs),
		cmocka_unit_test(errors),
		cmocka_unit_test(waits_without_a_terminal_are_told_now_and_then),
		cmocka_unit_test(the_live_line_stays_one_line),
		cmocka_unit_test(why_results_do_not_arrive_is_known_however_long_they_are),
	};
	for (size_t i = 0; i < PG_LEN(fits); i++)
		tests[i + OTHERS] = (struct CMUnitTest){ fits[i].name, fit, NULL, NULL, &fits[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
