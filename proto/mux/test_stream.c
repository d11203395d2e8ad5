#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "proto/base/auto.h"
#include "proto/mux/stream.h"

/* Each way that a stream may go, event by event, and where it ends; -EPROTO on the last event when
 * that is illegal. */
enum {
	EOF_OUT = PG_EV_SENT_EOF,
	EOF_IN = PG_EV_GOT_EOF,
	DRAINED = PG_EV_DRAINED,
	RESET = PG_EV_RESET
};

struct way {
	const char *name;
	int events[4]; /* ends with -1 */
	enum pg_stream_state want;
	int rc;
};

static struct way ways[] = {
	{ "is open", { -1 }, PG_ST_OPEN, 0 },
	{ "our half ends", { EOF_OUT, -1 }, PG_ST_SENT_EOF, 0 },
	{ "theirs ends", { EOF_IN, -1 }, PG_ST_GOT_EOF, 0 },
	{ "ours, then theirs", { EOF_OUT, EOF_IN, -1 }, PG_ST_ENDED, 0 },
	{ "theirs, then ours", { EOF_IN, EOF_OUT, -1 }, PG_ST_ENDED, 0 },
	{ "and all is consumed", { EOF_IN, EOF_OUT, DRAINED, -1 }, PG_ST_GONE, 0 },
	{ "reset while open", { RESET, -1 }, PG_ST_GONE, 0 },
	{ "reset after our EOF", { EOF_OUT, RESET, -1 }, PG_ST_GONE, 0 },
	{ "reset after theirs", { EOF_IN, RESET, -1 }, PG_ST_GONE, 0 },
	{ "reset with bytes unconsumed", { EOF_IN, EOF_OUT, RESET, -1 }, PG_ST_GONE, 0 },
	{ "our EOF twice", { EOF_OUT, EOF_OUT, -1 }, PG_ST_SENT_EOF, -EPROTO },
	{ "their EOF twice", { EOF_IN, EOF_IN, -1 }, PG_ST_GOT_EOF, -EPROTO },
	{ "their EOF after the end", { EOF_IN, EOF_OUT, EOF_IN, -1 }, PG_ST_ENDED, -EPROTO },
	{ "drained while open", { DRAINED, -1 }, PG_ST_OPEN, -EPROTO },
	{ "drained half-closed", { EOF_IN, DRAINED, -1 }, PG_ST_GOT_EOF, -EPROTO },
	{ "reset twice", { RESET, RESET, -1 }, PG_ST_GONE, -EPROTO },
	{ "EOF after a reset", { RESET, EOF_IN, -1 }, PG_ST_GONE, -EPROTO },
};

static void goes(void **state)
{
	const struct way *w = *state;
	enum pg_stream_state st = PG_ST_OPEN;
	int rc = 0;
	for (const int *ev = w->events; *ev >= 0; ev++) {
		assert_int_equal(rc, 0);
		rc = pg_stream_step(&st, (enum pg_stream_ev) * ev);
	}
	assert_int_equal(rc, w->rc);
	assert_int_equal(st, w->want);
}

int main(void)
{
	struct CMUnitTest tests[PG_LEN(ways)] = { 0 };
	for (size_t i = 0; i < PG_LEN(ways); i++)
		tests[i] = (struct CMUnitTest){ ways[i].name, goes, NULL, NULL, &ways[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
