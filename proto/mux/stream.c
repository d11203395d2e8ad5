#include "proto/mux/stream.h"

#include <assert.h>
#include <errno.h>

#include "proto/base/mem.h"

/* The only place that says what may follow what; an unlisted pair is illegal by being 0. */
static const uint8_t next[PG_ST_COUNT][PG_EV_COUNT] = {
	[PG_ST_OPEN] = { [PG_EV_SENT_EOF] = PG_ST_SENT_EOF,
			 [PG_EV_GOT_EOF] = PG_ST_GOT_EOF,
			 [PG_EV_RESET] = PG_ST_GONE },
	[PG_ST_SENT_EOF] = { [PG_EV_GOT_EOF] = PG_ST_ENDED, [PG_EV_RESET] = PG_ST_GONE },
	[PG_ST_GOT_EOF] = { [PG_EV_SENT_EOF] = PG_ST_ENDED, [PG_EV_RESET] = PG_ST_GONE },
	[PG_ST_ENDED] = { [PG_EV_DRAINED] = PG_ST_GONE, [PG_EV_RESET] = PG_ST_GONE },
};

int pg_stream_step(enum pg_stream_state *st, enum pg_stream_ev ev)
{
	assert(*st < PG_ST_COUNT && ev < PG_EV_COUNT);
	if (next[*st][ev] == PG_ST_ILLEGAL)
		return -EPROTO;
	*st = (enum pg_stream_state)next[*st][ev];
	return 0;
}

struct pg_stream *pg_stream_new(struct pg_mux *m, uint32_t id, bool is_ours, uint64_t now_us)
{
	struct pg_stream *s = pg_calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->mux = m;
	s->id = id;
	s->state = PG_ST_OPEN;
	s->is_ours = is_ours;
	pg_window_init(&s->in, now_us);
	pg_allowance_init(&s->out, is_ours);
	return s;
}

bool pg_stream_sends(const struct pg_stream *s)
{
	return s->state == PG_ST_OPEN || s->state == PG_ST_GOT_EOF;
}

bool pg_stream_receives(const struct pg_stream *s)
{
	return s->state == PG_ST_OPEN || s->state == PG_ST_SENT_EOF;
}
