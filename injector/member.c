#include "injector/member.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "injector/kube_json.h"
#include "proto/base/mem.h"

enum { LINE_MAX_BYTES = 64 << 10, STREAMS = 3, BY_SIGNAL = 128, HANDLES = 3, EXE_MAX = 4096 };

struct pg_member {
	uv_process_t process;
	uv_pipe_t leash;  /* its standard input, which nothing is written to */
	uv_pipe_t output; /* its standard output */
	const struct pg_member_events *events;
	void *ctx;
	bool has_exited, has_eof;
	int status;
	int open_handles;
	char line[LINE_MAX_BYTES];
	size_t have;
};

static void say_ended(struct pg_member *m)
{
	if (m->has_exited && m->has_eof)
		m->events->ended(m->ctx, m->status);
}

/* Tells the whole lines of what has come; a line that is too long tells nothing and is passed over
 * in pieces. */
static void take_lines(struct pg_member *m)
{
	char *at = m->line, *newline;
	while ((newline = memchr(at, '\n', m->have - (size_t)(at - m->line)))) {
		json_t *event = pg_json_parse(at, (size_t)(newline - at), NULL);
		if (json_is_object(event))
			m->events->told(m->ctx, event);
		json_decref(event);
		at = newline + 1;
	}
	m->have -= (size_t)(at - m->line);
	memmove(m->line, at, m->have);
	if (m->have == sizeof(m->line))
		m->have = 0;
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct pg_member *m = handle->data;
	(void)suggested;
	*out = uv_buf_init(m->line + m->have, (unsigned)(sizeof(m->line) - m->have));
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct pg_member *m = stream->data;
	(void)buf;
	if (n >= 0) {
		m->have += (size_t)n;
		take_lines(m);
		return;
	}
	uv_read_stop(stream);
	m->has_eof = true;
	say_ended(m);
}

static void on_exit_(uv_process_t *process, int64_t status, int signo)
{
	struct pg_member *m = process->data;
	m->status = signo > 0 ? BY_SIGNAL + signo : (int)(status & 0xff);
	m->has_exited = true;
	say_ended(m);
}

static void on_closed(uv_handle_t *handle)
{
	struct pg_member *m = handle->data;
	if (--m->open_handles == 0)
		free(m);
}

/* In a process group of its own, so that the terminal's Ctrl-C comes by us alone. */
static int spawn(struct pg_member *m, struct pg_loop *loop, const char *const *argv)
{
	char exe[EXE_MAX];
	size_t exe_len = sizeof(exe);
	uv_stdio_container_t streams[STREAMS] = {
		{ .flags = UV_CREATE_PIPE | UV_READABLE_PIPE,
		  .data.stream = (uv_stream_t *)&m->leash },
		{ .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
		  .data.stream = (uv_stream_t *)&m->output },
		{ .flags = UV_INHERIT_FD, .data.fd = 2 },
	};
	int rc = uv_exepath(exe, &exe_len);
	if (rc < 0)
		return rc;
	uv_process_options_t options = { .exit_cb = on_exit_,
					 .file = exe,
					 .args = (char **)argv, /* not written to */
					 .flags = UV_PROCESS_DETACHED,
					 .stdio_count = STREAMS,
					 .stdio = streams };
	pg_loop_many_files(loop, false);
	rc = uv_spawn(pg_loop_uv(loop), &m->process, &options);
	pg_loop_many_files(loop, true);
	return rc;
}

int pg_member_start(struct pg_loop *loop, const char *const *argv,
		    const struct pg_member_events *events, void *ctx, struct pg_member **out,
		    struct pg_err *err)
{
	struct pg_member *m = pg_calloc(1, sizeof(*m));
	if (!m)
		return pg_fail(err, -ENOMEM, "start another podgraft");
	uv_pipe_init(pg_loop_uv(loop), &m->leash, 0);
	uv_pipe_init(pg_loop_uv(loop), &m->output, 0);
	m->process.data = m->leash.data = m->output.data = m;
	m->events = events;
	m->ctx = ctx;
	m->open_handles = HANDLES;
	int rc = spawn(m, loop, argv);
	if (rc < 0) {
		m->has_exited = m->has_eof = true;
		pg_member_free(m);
		return pg_fail(err, rc, "start another podgraft");
	}
	uv_read_start((uv_stream_t *)&m->output, on_room, on_output);
	*out = m;
	return 0;
}

void pg_member_signal(struct pg_member *m, int signo)
{
	if (!m->has_exited)
		uv_process_kill(&m->process, signo);
}

void pg_member_free(struct pg_member *m)
{
	if (!m)
		return;
	assert(m->has_exited);
	uv_close((uv_handle_t *)&m->leash, on_closed);
	uv_close((uv_handle_t *)&m->output, on_closed);
	uv_close((uv_handle_t *)&m->process, on_closed);
}
