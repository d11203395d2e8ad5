#pragma once
#include <uv.h>

/* A uv_poll_t that is told only of changes. uv_poll_start() of libuv 1.44 takes the descriptor out
 * of epoll and puts it back on every call, also when it was watched for the same before: two system
 * calls that a message would pay for. */
struct pg_watch {
	uv_poll_t poll;
	int events; /* watched for now; 0: not at all */
};

/* Watches for `events` (UV_READABLE, ... or-ed; 0: for nothing) from now on. */
static inline void pg_watch(struct pg_watch *w, int events, uv_poll_cb cb)
{
	if (w->events == events)
		return;
	w->events = events;
	if (events)
		uv_poll_start(&w->poll, events, cb);
	else
		uv_poll_stop(&w->poll);
}

/* First thing in the callback: with a negative status libuv has stopped the poll by itself. */
static inline void pg_watch_told(struct pg_watch *w, int status)
{
	if (status < 0)
		w->events = 0;
}

/* Before its descriptor is closed. */
static inline void pg_watch_close(struct pg_watch *w, uv_close_cb cb)
{
	uv_close((uv_handle_t *)&w->poll, cb); /* stops it, too */
}
