#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "agent/ports.h"
#include "agent/privs.h"
#include "agent/procfs.h"
#include "agent/routes.h"
#include "proto/base/auto.h"
#include "proto/wire/auth.h"

/* Each case runs in a child of its own, behind both calls; its result is the child's exit code, or
 * 128 + the signal that ended it. */

enum { KILLED = 128 + SIGSYS };

static int try_execve(void)
{
	char *const argv[] = { (char *)"true", NULL };
	execve("/bin/true", argv, NULL);
	return 1;
}

static int try_execveat(void)
{
	syscall(SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0);
	return 1;
}

static int try_ptrace(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	return 1;
}

static int try_reading_memory(void)
{
	char a = 0, b = 1;
	struct iovec to = { &a, 1 }, from = { &b, 1 };
	process_vm_readv(getpid(), &to, 1, &from, 1, 0);
	return 1;
}

static int try_fork(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return pid < 0 && errno == EPERM ? 0 : 1;
}

static int try_executable_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED || errno != EPERM)
		return 1;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return 2;
	return mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0 && errno == EPERM ? 0 : 3;
}

static int try_unlisted_calls(void)
{
	if (unshare(CLONE_NEWNET) == 0 || errno != EPERM)
		return 1;
	if (unlink("/nonexistent") == 0 || errno != EPERM)
		return 2;
	return kill(getpid(), 0) < 0 && errno == EPERM ? 0 : 3;
}

static void *thread(void *arg)
{
	return arg;
}

static int try_thread(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, thread, NULL) != 0)
		return 1;
	return pthread_join(t, NULL) == 0 ? 0 : 2;
}

static int try_abort(void)
{
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void nobody_links(void *ctx, int fd, const uint8_t session[PG_SESSION_BYTES],
			 const uint8_t *extra, size_t n)
{
	(void)ctx;
	(void)session;
	(void)extra;
	(void)n;
	close(fd);
}

/* The whole control API, from keys to an answer. */
static int try_agent(void)
{
	static const struct pg_routes_events events = { .linked = nobody_links };
	static const char request[] = "GET /v1/challenge HTTP/1.1\r\nHost: a\r\n\r\n";
	struct pg_identity id = { "uid", "container", "redirect", "0", { 0 }, { { 0 }, { 0 } } };
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct pg_routes *routes;
	struct pg_err err;
	char text[1024] = "";
	struct pg_loop *loop = pg_loop_new(&err);
	if (!loop || pg_auth_init() < 0)
		return 1;
	pg_loop_on_signal(loop, NULL, NULL);
	pg_keys_make(&id.keys);
	if (pg_routes_new(loop, &id, &events, NULL, &routes, &err) < 0)
		return 2;
	to.sin_port = htons(pg_routes_port(routes));
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    send(fd, request, sizeof(request) - 1, 0) < 0)
		return 3;
	for (int i = 0; i < 1000 && recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) <= 0; i++) {
		uv_run(pg_loop_uv(loop), UV_RUN_NOWAIT);
		uv_sleep(1);
	}
	close(fd);
	pg_routes_close(routes);
	pg_loop_free(loop);
	return strstr(text, "200 OK") ? 0 : 4;
}

static int try_looking_around(void)
{
	static struct pg_listening sockets[64];
	struct pg_process_list list;
	struct pg_err err;
	size_t count;
	if (pg_ports_list(sockets, PG_LEN(sockets), &count, &err) < 0)
		return 1;
	if (pg_processes_read("/proc", &list, &err) < 0)
		return 2;
	pg_processes_find_sockets("/proc", &list, NULL, 0);
	pg_processes_fini(&list);
	return 0;
}

static int try_dumpable(void)
{
	char text[8] = "";
	int fd = open("/proc/self/oom_score_adj", O_RDONLY);
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 1;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 2;
	return read(fd, text, sizeof(text) - 1) > 0 && strcmp(text, "1000\n") == 0 ? 0 : 3;
}

static struct privs_case {
	const char *name;
	int (*try)(void);
	int want;
} cases[] = {
	{ "execve is fatal", try_execve, KILLED },
	{ "execveat is fatal", try_execveat, KILLED },
	{ "ptrace is fatal", try_ptrace, KILLED },
	{ "reading another process's memory is fatal", try_reading_memory, KILLED },
	{ "no processes", try_fork, 0 },
	{ "no executable memory", try_executable_memory, 0 },
	{ "calls that are not listed answer EPERM", try_unlisted_calls, 0 },
	{ "threads work", try_thread, 0 },
	{ "abort works", try_abort, 128 + SIGABRT },
	{ "the control API works", try_agent, 0 },
	{ "listing sockets and processes works", try_looking_around, 0 },
	{ "hardened", try_dumpable, 0 },
};

static void behind_the_filter(void **state)
{
	const struct privs_case *c = *state;
	int status;
	fflush(stdout);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct pg_err err;
		pg_privs_harden();
		if (pg_privs_confine(&err) < 0)
			_exit(99);
		_exit(c->try());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
			 c->want);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return 0; /* the filter is not there */
#endif
	struct CMUnitTest tests[PG_LEN(cases)];
	for (size_t i = 0; i < PG_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].name, behind_the_filter, NULL, NULL,
						&cases[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
