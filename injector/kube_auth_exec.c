#include "injector/kube_auth_exec.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "proto/base/mem.h"

/* One run. It lives until both handles have closed, which may be after its caller gave up. */
struct run {
	uv_process_t process;
	uv_pipe_t out;
	int open; /* handles that have not closed yet; the process's own type is 0 before it is one
		   */
	struct pg_buf said;
	bool exited, out_ended, done;
	bool abandoned; /* nobody looks at it any more */
	int64_t status;
	int signal;
	int failure; /* of reading: a negative errno */
};

static void free_run(struct run *r)
{
	if (r->said.data)
		explicit_bzero(r->said.data, r->said.len);
	pg_buf_fini(&r->said);
	free(r);
}

static void on_close(uv_handle_t *handle)
{
	struct run *r = handle->data;
	r->open--;
	r->done = r->exited && r->out_ended && r->open == 0;
	if (r->abandoned && r->open == 0)
		free_run(r);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signo)
{
	struct run *r = process->data;
	r->exited = true;
	r->status = status;
	r->signal = signo;
	uv_close((uv_handle_t *)process, on_close);
}

static void end_output(struct run *r)
{
	if (r->out_ended)
		return;
	r->out_ended = true;
	uv_close((uv_handle_t *)&r->out, on_close);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct run *r = handle->data;
	uint8_t *at = NULL;
	(void)suggested;
	if (pg_buf_reserve(&r->said, 4096, &at) == 0)
		*buf = uv_buf_init((char *)at, 4096);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct run *r = stream->data;
	(void)buf;
	if (n > 0)
		pg_buf_added(&r->said, (size_t)n);
	if (n >= 0)
		return;
	if (n != UV_EOF) {
		r->failure = n == UV_ENOBUFS ? -EFBIG : (int)n;
		if (!r->exited)
			uv_process_kill(&r->process, SIGKILL);
	}
	end_output(r);
}

/* True when `assignment` ("NAME=value") names a variable of `list` too. */
static bool is_overridden(const char *assignment, char *const *list)
{
	size_t n = strcspn(assignment, "=") + 1;
	for (; list && *list; list++)
		if (strncmp(assignment, *list, n) == 0)
			return true;
	return strncmp(assignment, "KUBERNETES_EXEC_INFO=", n) == 0;
}

static size_t length(char *const *list)
{
	size_t n = 0;
	while (list && list[n])
		n++;
	return n;
}

/* Our environment, the plugin's own variables, KUBERNETES_EXEC_INFO. The array is the caller's,
 * its texts are borrowed. NULL: out of memory. */
static char **make_environment(const struct pg_kube_exec *x, const struct pg_buf *info)
{
	size_t n = 0;
	char **env = pg_calloc(length(environ) + length(x->env) + 2, sizeof(*env));
	if (!env)
		return NULL;
	for (char **e = environ; *e; e++)
		if (!is_overridden(*e, x->env))
			env[n++] = *e;
	for (char **e = x->env; e && *e; e++)
		env[n++] = *e;
	env[n] = (char *)info->data;
	return env;
}

static char **make_arguments(const struct pg_kube_exec *x)
{
	size_t n = length(x->args);
	char **argv = pg_calloc(n + 2, sizeof(*argv));
	if (!argv)
		return NULL;
	argv[0] = x->command;
	for (size_t i = 0; i < n; i++)
		argv[i + 1] = x->args[i];
	return argv;
}

/* Whether the plugin gets our standard input. */
static int choose_stdin(const struct pg_kube_exec *x, bool *interactive, struct pg_err *err)
{
	bool tty = isatty(STDIN_FILENO) == 1;
	if (strcmp(x->interactive_mode, "Always") == 0 && !tty) {
		pg_fail(err, -ENOTTY, "it wants a terminal, and standard input is none.");
		return pg_hint(err, PG_CLUSTER, "run podgraft on a terminal, or log in first");
	}
	*interactive = tty && strcmp(x->interactive_mode, "Never") != 0;
	return 0;
}

static int not_started(const struct pg_kube_exec *x, int code, struct pg_err *err)
{
	char hint[200] = "";
	pg_fail(err, code, "it did not start");
	if (x->install_hint && code == -ENOENT) {
		snprintf(hint, sizeof(hint), "%s", x->install_hint);
		for (char *p = hint; *p; p++)
			if (*p == '\n')
				*p = ' ';
		pg_sanitize(hint);
		return pg_hint(err, PG_CLUSTER, "%s", hint);
	}
	return pg_hint(err, PG_CLUSTER,
		       code == -ENOENT ? "install %s, or put its folder into PATH"
				       : "check that %s is a program that you may run",
		       x->command);
}

static int spawn(struct run *r, uv_loop_t *uv, const struct pg_kube_exec *x, bool interactive,
		 const struct pg_buf *info, struct pg_err *err)
{
	pg_auto_free char **env = make_environment(x, info);
	pg_auto_free char **argv = make_arguments(x);
	if (!env || !argv)
		return pg_fail(err, -ENOMEM, "start it");
	uv_stdio_container_t stdio[3] = {
		{ .flags = interactive ? UV_INHERIT_FD : UV_IGNORE, .data.fd = STDIN_FILENO },
		{ .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
		  .data.stream = (uv_stream_t *)&r->out },
		{ .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },
	};
	const uv_process_options_t options = {
		.exit_cb = on_exit_status,
		.file = x->command,
		.args = argv,
		.env = env,
		.stdio_count = 3,
		.stdio = stdio,
	};
	r->open++; /* also when this fails */
	int rc = uv_spawn(uv, &r->process, &options);
	if (rc == 0)
		rc = uv_read_start((uv_stream_t *)&r->out, on_alloc, on_read);
	return rc < 0 ? not_started(x, rc, err) : 0;
}

/* Ends what still runs; the loop frees the rest. */
static void abandon(struct run *r)
{
	uv_handle_t *process = (uv_handle_t *)&r->process;
	r->abandoned = true;
	if (process->type == UV_PROCESS && uv_is_active(process))
		uv_process_kill(&r->process, SIGKILL);
	else if (process->type == UV_PROCESS && !uv_is_closing(process))
		uv_close(process, on_close); /* it never started */
	end_output(r);
	if (r->open == 0)
		free_run(r);
}

/* What the end of the plugin means. */
static int judge(const struct run *r, const char *api_version, struct pg_exec_answer *out,
		 struct pg_err *err)
{
	if (r->failure == -EFBIG)
		return pg_fail(err, -EFBIG, "it printed more than %d bytes.", PG_EXEC_OUTPUT_MAX);
	if (r->failure < 0)
		return pg_fail(err, r->failure, "read its answer");
	if (r->signal != 0)
		return pg_fail(err, -EIO, "it was ended by signal %d.", r->signal);
	if (r->status != 0)
		return pg_fail(err, -EIO, "it failed with status %d.", (int)r->status);
	return pg_exec_answer_parse(pg_buf_str(&r->said), r->said.len, api_version, out, err);
}

static int run_plugin(struct pg_loop *loop, const struct pg_kubeconfig *config,
		      const struct pg_buf *info, bool interactive, struct pg_exec_answer *out,
		      struct pg_err *err)
{
	struct run *r = pg_calloc(1, sizeof(*r));
	if (!r)
		return pg_fail(err, -ENOMEM, "start it");
	*r = (struct run){ .said = PG_BUF_INIT(PG_EXEC_OUTPUT_MAX), .open = 1 };
	r->process.data = r->out.data = r;
	uv_pipe_init(pg_loop_uv(loop), &r->out, 0);
	int rc = spawn(r, pg_loop_uv(loop), config->exec, interactive, info, err);
	if (rc == 0) {
		rc = pg_loop_wait(loop, &r->done, UINT64_MAX);
		if (rc < 0)
			pg_fail(err, rc, "wait for it");
		else
			rc = judge(r, config->exec->api_version, out, err);
	}
	abandon(r);
	return rc;
}

int pg_exec_run(struct pg_loop *loop, const struct pg_kubeconfig *config,
		struct pg_exec_answer *out, struct pg_err *err)
{
	const struct pg_kube_exec *x = config->exec;
	struct pg_buf info = PG_BUF_INIT(4 << 20);
	bool interactive = false;
	struct pg_err why = { .hint = "" };
	int rc = choose_stdin(x, &interactive, &why);
	if (rc == 0 && (pg_buf_add_str(&info, "KUBERNETES_EXEC_INFO=") < 0 ||
			pg_exec_info(config, interactive, &info) < 0))
		rc = pg_fail(&why, -ENOMEM, "start it");
	if (rc == 0)
		rc = run_plugin(loop, config, &info, interactive, out, &why);
	pg_buf_fini(&info);
	if (rc < 0 && err) {
		*err = why;
		pg_wrap(err, "credential plugin '%s'", x->command);
		if (!err->hint[0] && rc != -ECANCELED)
			pg_hint(err, PG_CLUSTER,
				"run it by hand, as the kubeconfig says, and mend it");
	}
	return rc;
}
