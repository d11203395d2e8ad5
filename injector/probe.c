#include "injector/probe.h"

#include <unistd.h>
#include <uv.h>

#include "proto/base/mem.h"
#include "proto/io/sock.h"

enum { EVERY_MS = 500 };

struct pg_probe {
	uv_timer_t timer;
	struct sockaddr_storage to;
	int fd; /* of the attempt that is under way, or -1 */
	void (*found)(void *ctx);
	void *ctx;
};

/* Whether the attempt has become a connection. */
static bool is_connected(int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	return pg_sock_error(fd) == 0 && getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

static void on_timer(uv_timer_t *timer)
{
	struct pg_probe *p = timer->data;
	bool found = p->fd >= 0 && is_connected(p->fd);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = pg_sock_connect((const struct sockaddr *)&p->to, 0);
	if (found)
		p->found(p->ctx);
}

struct pg_probe *pg_probe_new(struct pg_loop *loop, const struct sockaddr_storage *to,
			      void (*found)(void *ctx), void *ctx)
{
	struct pg_probe *p = pg_calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	*p = (struct pg_probe){ .to = *to, .found = found, .ctx = ctx };
	p->fd = pg_sock_connect((const struct sockaddr *)to, 0);
	uv_timer_init(pg_loop_uv(loop), &p->timer);
	p->timer.data = p;
	uv_timer_start(&p->timer, on_timer, EVERY_MS, EVERY_MS);
	return p;
}

static void on_closed(uv_handle_t *handle)
{
	struct pg_probe *p = handle->data;
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

void pg_probe_free(struct pg_probe *p)
{
	if (p)
		uv_close((uv_handle_t *)&p->timer, on_closed);
}
