#include "agent/looks.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <uv.h>

#include "agent/first_bytes.h"
#include "proto/base/mem.h"
#include "proto/io/sock.h"

enum { LOOKS_MAX = 256, HANDLES = 2 }; /* 1.1 MiB */

struct one {
	struct pg_looks *all;
	struct one *next, **link;
	struct pg_look look;
	uv_poll_t poll;
	uv_timer_t patience;
	int open_handles;
	bool greeted;
	size_t have;
	uint8_t bytes[PG_FIRST_MAX];
};

struct pg_looks {
	struct pg_loop *loop;
	void (*decided)(void *ctx, const struct pg_look *look, struct pg_byteq *first,
			bool is_probe);
	void *ctx;
	struct one *first;
	size_t count;
};

struct pg_looks *pg_looks_new(struct pg_loop *loop,
			      void (*decided)(void *ctx, const struct pg_look *look,
					      struct pg_byteq *first, bool is_probe),
			      void *ctx)
{
	struct pg_looks *all = pg_calloc(1, sizeof(*all));
	if (all)
		*all = (struct pg_looks){ .loop = loop, .decided = decided, .ctx = ctx };
	return all;
}

static void on_closed(uv_handle_t *handle)
{
	struct one *o = handle->data;
	if (--o->open_handles == 0)
		free(o);
}

/* Lets go of the socket, which is the caller's again. */
static void let_go(struct one *o)
{
	*o->link = o->next;
	if (o->next)
		o->next->link = o->link;
	o->all->count--;
	uv_poll_stop(&o->poll);
	uv_close((uv_handle_t *)&o->poll, on_closed);
	uv_close((uv_handle_t *)&o->patience, on_closed);
}

static void decide(struct one *o, bool is_probe)
{
	struct pg_byteq first;
	let_go(o);
	if (o->greeted)
		o->have = pg_first_forget_greeting(o->bytes, o->have);
	pg_byteq_init(&first, PG_FIRST_MAX);
	if (pg_byteq_put(&first, o->bytes, o->have) < 0)
		pg_sock_close_reset(o->look.fd);
	else
		o->all->decided(o->all->ctx, &o->look, &first, is_probe);
}

/* The client has gone, with a reset: nobody is to serve it. */
static void give_up(struct one *o)
{
	let_go(o);
	pg_sock_close_reset(o->look.fd);
}

static void look(struct one *o)
{
	enum pg_first is = pg_first_look(o->bytes, o->have, o->look.grpc, o->greeted);
	if (is == PG_FIRST_GREET) {
		/* A socket that has sent nothing takes 9 bytes, or is gone. */
		o->greeted = send(o->look.fd, pg_first_greeting, PG_FIRST_GREETING,
				  MSG_NOSIGNAL | MSG_DONTWAIT) == PG_FIRST_GREETING;
		if (!o->greeted)
			give_up(o);
	} else if (is != PG_FIRST_MORE) {
		decide(o, is == PG_FIRST_PROBE);
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct one *o = poll->data;
	(void)status;
	(void)events;
	ssize_t n = recv(o->look.fd, o->bytes + o->have, sizeof(o->bytes) - o->have, MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		give_up(o);
		return;
	}
	if (n == 0) { /* whoever serves it reads that again */
		decide(o, false);
		return;
	}
	o->have += n > 0 ? (size_t)n : 0;
	look(o);
}

static void on_out_of_patience(uv_timer_t *timer)
{
	decide(timer->data, false);
}

int pg_looks_add(struct pg_looks *all, const struct pg_look *wanted)
{
	struct one *o = all->count < LOOKS_MAX ? pg_calloc(1, sizeof(*o)) : NULL;
	if (!o)
		return all->count < LOOKS_MAX ? -ENOMEM : -EBUSY;
	int rc = uv_poll_init(pg_loop_uv(all->loop), &o->poll, wanted->fd);
	if (rc < 0) {
		free(o);
		return rc;
	}
	uv_timer_init(pg_loop_uv(all->loop), &o->patience);
	o->poll.data = o->patience.data = o;
	o->open_handles = HANDLES;
	o->all = all;
	o->look = *wanted;
	o->next = all->first;
	o->link = &all->first;
	if (o->next)
		o->next->link = &o->next;
	all->first = o;
	all->count++;
	uv_poll_start(&o->poll, UV_READABLE, on_readable);
	uv_timer_start(&o->patience, on_out_of_patience, PG_LOOK_MS, 0);
	return 0;
}

size_t pg_looks_count(const struct pg_looks *all)
{
	return all->count;
}

size_t pg_looks_count_of(const struct pg_looks *all, uint32_t serial)
{
	size_t n = 0;
	for (const struct one *o = all->first; o; o = o->next)
		n += o->look.serial == serial;
	return n;
}

void pg_looks_close(struct pg_looks *all)
{
	while (all && all->first)
		give_up(all->first);
	free(all);
}
