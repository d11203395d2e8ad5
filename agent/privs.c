#include "agent/privs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
enum { IS_SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif
#else
enum { IS_SANITIZED = 0 };
#endif

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#error "the seccomp filter knows x86_64 and aarch64"
#endif

enum { X32_BIT = 0x40000000 }; /* the other ABI of x86_64: none of our numbers has it */

/* --- the calls --- */

static const int fatal_calls[] = {
	SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
};

/* The busiest first: old kernels walk the list for each call. Calls that only x86_64 has (the
 * forms without "at" and their like) stand at the end. */
static const int allowed_calls[] = {
	/* data */
	SYS_epoll_pwait,
	SYS_epoll_ctl,
	SYS_recvfrom,
	SYS_sendto,
	SYS_recvmsg,
	SYS_sendmsg,
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_pwrite64,
	SYS_sendfile,
	SYS_splice,
	SYS_recvmmsg,
	SYS_sendmmsg,
	/* sockets */
	SYS_accept4,
	SYS_accept,
	SYS_socket,
	SYS_socketpair,
	SYS_bind,
	SYS_listen,
	SYS_connect,
	SYS_shutdown,
	SYS_getsockname,
	SYS_getpeername,
	SYS_getsockopt,
	SYS_setsockopt,
	/* descriptors and files, /proc for the most part */
	SYS_close,
	SYS_close_range,
	SYS_dup,
	SYS_dup3,
	SYS_fcntl,
	SYS_ioctl,
	SYS_openat,
	SYS_readlinkat,
	SYS_getdents64,
	SYS_fstat,
	SYS_newfstatat,
	SYS_statx,
	SYS_fstatfs,
	SYS_lseek,
	SYS_faccessat,
	SYS_faccessat2,
	SYS_getcwd,
	SYS_pipe2,
	SYS_eventfd2,
	/* the loop, time, signals */
	SYS_epoll_create1,
	SYS_epoll_pwait2,
	SYS_ppoll,
	SYS_pselect6,
	SYS_timerfd_create,
	SYS_timerfd_settime,
	SYS_timerfd_gettime,
	SYS_signalfd4,
	SYS_clock_gettime,
	SYS_clock_getres,
	SYS_clock_nanosleep,
	SYS_nanosleep,
	SYS_gettimeofday,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_rt_sigtimedwait,
	SYS_sigaltstack,
	SYS_restart_syscall,
	SYS_tgkill,
	/* memory and threads */
	SYS_brk,
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_futex,
	SYS_set_robust_list,
	SYS_rseq,
	SYS_set_tid_address,
	SYS_membarrier,
	SYS_sched_yield,
	SYS_sched_getaffinity,
	/* what the process asks about itself */
	SYS_getpid,
	SYS_gettid,
	SYS_getppid,
	SYS_getuid,
	SYS_geteuid,
	SYS_getgid,
	SYS_getegid,
	SYS_getgroups,
	SYS_capget,
	SYS_uname,
	SYS_sysinfo,
	SYS_getrusage,
	SYS_prlimit64,
	SYS_getrandom,
	SYS_prctl,
	SYS_exit,
	SYS_exit_group,
#if defined(__x86_64__)
	SYS_epoll_wait,
	SYS_poll,
	SYS_select,
	SYS_open,
	SYS_stat,
	SYS_lstat,
	SYS_access,
	SYS_readlink,
	SYS_dup2,
	SYS_pipe,
	SYS_eventfd,
	SYS_epoll_create,
	SYS_getrlimit,
	SYS_arch_prctl,
	SYS_time,
#endif
};

/* Calls that pass when (argument & mask) is zero, or, for `wants_bits`, when it is not. */
static const struct by_argument {
	int call;
	unsigned argument;
	uint32_t mask;
	bool wants_bits;
} calls_by_argument[] = {
	{ SYS_mmap, 2, PROT_EXEC, false },
	{ SYS_mprotect, 2, PROT_EXEC, false },
	{ SYS_clone, 0, CLONE_THREAD, true }, /* threads, no processes */
};

/* --- the program --- */

enum {
	PROGRAM_MAX = 8 + 2 * (PG_LEN(fatal_calls) + PG_LEN(allowed_calls)) +
		      5 * PG_LEN(calls_by_argument) + 4,
};

struct program {
	struct sock_filter code[PROGRAM_MAX];
	unsigned short len;
};

static void add(struct program *p, struct sock_filter instruction)
{
	assert(p->len < PROGRAM_MAX);
	p->code[p->len++] = instruction;
}

static void load(struct program *p, size_t offset)
{
	add(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void answer(struct program *p, uint32_t action)
{
	add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* If the accumulator `test`s positive against `k`, the next instruction runs, else `skip` are
 * passed over. */
static void when(struct program *p, unsigned test, uint32_t k, uint8_t skip)
{
	add(p, (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | test | BPF_K), k, 0, skip));
}

static void answer_call(struct program *p, int call, uint32_t action)
{
	when(p, BPF_JEQ, (uint32_t)call, 1);
	answer(p, action);
}

/* Both architectures are little-endian: the low half of an argument comes first. */
static void answer_by_argument(struct program *p, const struct by_argument *c)
{
	const uint32_t refused = SECCOMP_RET_ERRNO | EPERM;
	when(p, BPF_JEQ, (uint32_t)c->call, 4);
	load(p, offsetof(struct seccomp_data, args) + c->argument * sizeof(uint64_t));
	when(p, BPF_JSET, c->mask, 1);
	answer(p, c->wants_bits ? SECCOMP_RET_ALLOW : refused);
	answer(p, c->wants_bits ? refused : SECCOMP_RET_ALLOW);
}

static void build(struct program *p)
{
	p->len = 0;
	load(p, offsetof(struct seccomp_data, arch));
	add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0));
	answer(p, SECCOMP_RET_KILL_PROCESS);
	load(p, offsetof(struct seccomp_data, nr));
	when(p, BPF_JGE, X32_BIT, 1);
	answer(p, SECCOMP_RET_KILL_PROCESS);
	for (size_t i = 0; i < PG_LEN(allowed_calls); i++)
		answer_call(p, allowed_calls[i], SECCOMP_RET_ALLOW);
	for (size_t i = 0; i < PG_LEN(fatal_calls); i++)
		answer_call(p, fatal_calls[i], SECCOMP_RET_KILL_PROCESS);
	/* glibc asks for clone3 and, told that there is none, uses clone, whose flags we can see.
	 */
	answer_call(p, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
	for (size_t i = 0; i < PG_LEN(calls_by_argument); i++)
		answer_by_argument(p, &calls_by_argument[i]);
	answer(p, SECCOMP_RET_ERRNO | EPERM);
}

int pg_privs_confine(struct pg_err *err)
{
	struct program p;
	if (IS_SANITIZED)
		return 0;
	build(&p);
	struct sock_fprog fprog = { .len = p.len, .filter = p.code };
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &fprog) != 0)
		return pg_fail(err, -errno, "install the seccomp filter");
	return 0;
}

void pg_privs_harden(void)
{
	static const char worst[] = "1000";
	/* Before the process stops being dumpable: from then on the file is root's. */
	pg_auto_close int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, worst, sizeof(worst) - 1) < 0) {
		/* Nothing to be done: the pod then chooses whom it ends. */
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (!IS_SANITIZED)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
