#include "injector/member.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "injector/lines.h"
#include "proto/base/mem.h"

enum { STREAMS = 3, BY_SIGNAL = 128, HANDLES = 4, EXE_MAX = 4096 };

/* One of its streams that we read. */
struct output {
	uv_pipe_t pipe;
	struct pg_member *member;
	void (*line)(void *ctx, const char *text, size_t size);
	bool has_eof;
	struct pg_lines lines;
};

struct pg_member {
	uv_process_t process;
	uv_pipe_t leash; /* its standard input */
	struct output told, words;
	const struct pg_member_events *events;
	void *ctx;
	bool has_exited;
	int status;
	int open_handles;
};

static void say_ended(struct pg_member *m)
{
	if (m->has_exited && m->told.has_eof && m->words.has_eof)
		m->events->ended(m->ctx, m->status);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct output *o = handle->data;
	(void)suggested;
	size_t room = pg_lines_room(&o->lines, &out->base);
	*out = uv_buf_init(out->base, (unsigned)room);
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct output *o = stream->data;
	(void)buf;
	if (n >= 0) {
		pg_lines_added(&o->lines, (size_t)n, o->line, o->member->ctx);
		return;
	}
	uv_read_stop(stream);
	pg_lines_end(&o->lines, o->line, o->member->ctx);
	o->has_eof = true;
	say_ended(o->member);
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
static int spawn(struct pg_member *m, struct pg_loop *loop, const char *exe,
		 const char *const *argv)
{
	uv_stdio_container_t streams[STREAMS] = {
		{ .flags = UV_CREATE_PIPE | UV_READABLE_PIPE,
		  .data.stream = (uv_stream_t *)&m->leash },
		{ .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
		  .data.stream = (uv_stream_t *)&m->told.pipe },
		{ .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
		  .data.stream = (uv_stream_t *)&m->words.pipe },
	};
	uv_process_options_t options = { .exit_cb = on_exit_,
					 .file = exe,
					 .args = (char **)argv, /* not written to */
					 .flags = UV_PROCESS_DETACHED,
					 .stdio_count = STREAMS,
					 .stdio = streams };
	pg_loop_many_files(loop, false);
	int rc = uv_spawn(pg_loop_uv(loop), &m->process, &options);
	pg_loop_many_files(loop, true);
	return rc;
}

static void init_output(struct output *o, struct pg_member *m, struct pg_loop *loop,
			void (*line)(void *ctx, const char *text, size_t size))
{
	uv_pipe_init(pg_loop_uv(loop), &o->pipe, 0);
	o->pipe.data = o;
	o->member = m;
	o->line = line;
}

int pg_member_start(struct pg_loop *loop, const char *const *argv,
		    const struct pg_member_events *events, void *ctx, struct pg_member **out,
		    struct pg_err *err)
{
	char exe[EXE_MAX];
	size_t exe_len = sizeof(exe);
	int rc = uv_exepath(exe, &exe_len);
	if (rc < 0) /* before there are handles to close */
		return pg_fail(err, rc, "find our own program");
	struct pg_member *m = pg_calloc(1, sizeof(*m));
	if (!m)
		return pg_fail(err, -ENOMEM, "start another podgraft");
	uv_pipe_init(pg_loop_uv(loop), &m->leash, 0);
	init_output(&m->told, m, loop, events->told);
	init_output(&m->words, m, loop, events->words);
	m->process.data = m->leash.data = m;
	m->events = events;
	m->ctx = ctx;
	m->open_handles = HANDLES;
	rc = spawn(m, loop, exe, argv);
	if (rc < 0) {
		m->has_exited = true;
		pg_member_free(m);
		return pg_fail(err, rc, "start another podgraft");
	}
	uv_read_start((uv_stream_t *)&m->told.pipe, on_room, on_output);
	uv_read_start((uv_stream_t *)&m->words.pipe, on_room, on_output);
	*out = m;
	return 0;
}

void pg_member_signal(struct pg_member *m, int signo)
{
	if (!m->has_exited)
		uv_process_kill(&m->process, signo);
}

struct letter {
	uv_write_t request;
	size_t size;
	char text[];
};

static void on_written(uv_write_t *request, int status)
{
	struct letter *letter = request->data;
	(void)status; /* one that has ended needs it no more */
	explicit_bzero(letter->text, letter->size);
	free(letter);
}

void pg_member_tell(struct pg_member *m, const char *text, size_t size)
{
	struct letter *letter = m->has_exited ? NULL : pg_calloc(1, sizeof(*letter) + size);
	if (!letter)
		return;
	letter->request.data = letter;
	letter->size = size;
	memcpy(letter->text, text, size);
	const uv_buf_t buf = uv_buf_init(letter->text, (unsigned)size);
	if (uv_write(&letter->request, (uv_stream_t *)&m->leash, &buf, 1, on_written) < 0)
		on_written(&letter->request, 0);
}

void pg_member_free(struct pg_member *m)
{
	if (!m)
		return;
	assert(m->has_exited);
	m->told.pipe.data = m->words.pipe.data = m;
	uv_close((uv_handle_t *)&m->leash, on_closed);
	uv_close((uv_handle_t *)&m->told.pipe, on_closed);
	uv_close((uv_handle_t *)&m->words.pipe, on_closed);
	uv_close((uv_handle_t *)&m->process, on_closed);
}
