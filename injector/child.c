#include "injector/child.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <uv.h>

#include "proto/base/mem.h"

enum {
	STREAMS = 3,
	CANNOT_RUN = 126,
	NOT_FOUND = 127,
	BY_SIGNAL = 128,
	KILLED_MS = 1000, /* for the kernel to end it */
};

struct pg_child {
	uv_process_t process;
	void (*on_end)(void *ctx);
	void *ctx;
	bool ended;
	int status;
};

static void on_exit_(uv_process_t *process, int64_t status, int signo)
{
	struct pg_child *c = process->data;
	c->status = signo > 0 ? BY_SIGNAL + signo : (int)(status & 0xff);
	c->ended = true;
	c->on_end(c->ctx);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

int pg_child_start(struct pg_loop *loop, char **argv, void (*ended)(void *ctx), void *ctx,
		   struct pg_child **out, int *exit_out, struct pg_err *err)
{
	struct pg_child *c = pg_calloc(1, sizeof(*c));
	uv_stdio_container_t streams[STREAMS];
	if (!c)
		return pg_fail(err, -ENOMEM, "start %s", argv[0]);
	for (int i = 0; i < STREAMS; i++)
		streams[i] = (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = i };
	uv_process_options_t options = {
		.exit_cb = on_exit_,
		.file = argv[0],
		.args = argv,
		.stdio_count = STREAMS,
		.stdio = streams,
	};
	c->process.data = c;
	c->on_end = ended;
	c->ctx = ctx;
	pg_loop_many_files(loop, false);
	int rc = uv_spawn(pg_loop_uv(loop), &c->process, &options);
	pg_loop_many_files(loop, true);
	if (rc < 0) {
		uv_close((uv_handle_t *)&c->process, on_closed);
		*exit_out = rc == -ENOENT ? NOT_FOUND : CANNOT_RUN;
		pg_fail(err, rc, "start %s", argv[0]);
		return pg_hint(err, PG_LOCAL,
			       "the words after -- are the program and its arguments");
	}
	*out = c;
	return 0;
}

bool pg_child_has_ended(const struct pg_child *c)
{
	return c->ended;
}

int pg_child_status(const struct pg_child *c)
{
	assert(c->ended);
	return c->status;
}

bool pg_child_takes(struct pg_child *c, int signo)
{
	if (!c || c->ended)
		return false;
	if (signo != SIGINT)
		uv_process_kill(&c->process, signo);
	return true;
}

void pg_child_end(struct pg_loop *loop, struct pg_child *c, uint64_t patience_ms)
{
	if (!c || c->ended) /* else its number may be another's by now */
		return;
	uv_process_kill(&c->process, SIGTERM);
	pg_loop_wait(loop, &c->ended, pg_loop_now_ms(loop) + patience_ms);
	if (c->ended)
		return;
	uv_process_kill(&c->process, SIGKILL);
	pg_loop_wait(loop, &c->ended, pg_loop_now_ms(loop) + KILLED_MS);
}

void pg_child_free(struct pg_child *c)
{
	if (c)
		uv_close((uv_handle_t *)&c->process, on_closed);
}
