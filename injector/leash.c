#include "injector/leash.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "proto/base/mem.h"

struct pg_leash {
	uv_poll_t poll;
};

static void on_input(uv_poll_t *poll, int status, int events)
{
	char ignored[256];
	(void)events;
	ssize_t n = status < 0 ? 0 : read(STDIN_FILENO, ignored, sizeof(ignored));
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	uv_poll_stop(poll);
	raise(SIGTERM);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

struct pg_leash *pg_leash_new(struct pg_loop *loop, struct pg_err *err)
{
	struct pg_leash *leash = pg_calloc(1, sizeof(*leash));
	if (!leash) {
		pg_fail(err, -ENOMEM, "watch the standard input");
		return NULL;
	}
	int rc = uv_poll_init(pg_loop_uv(loop), &leash->poll, STDIN_FILENO);
	if (rc < 0) {
		free(leash);
		pg_fail(err, rc, "watch the standard input");
		return NULL;
	}
	leash->poll.data = leash;
	uv_poll_start(&leash->poll, UV_READABLE, on_input);
	return leash;
}

void pg_leash_free(struct pg_leash *leash)
{
	if (leash)
		uv_close((uv_handle_t *)&leash->poll, on_closed);
}
