#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/procfs.h"
#include "proto/base/mem.h"

#define BYTES(s) s, sizeof(s) - 1
#define ID       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OUTER    "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static struct stat_case {
	const char *name, *text;
	size_t n;
	const char *comm;
	int want;
	uint32_t ppid;
} stats[] = {
	{ "stat: plain", BYTES("7 (nginx) S 1 7 7 0 -1"), "nginx", 0, 1 },
	{ "stat: a name that imitates the rest", BYTES("7 (a) R 99 () S 12 7"), "a) R 99 (", 0,
	  12 },
	{ "stat: a name with a newline", BYTES("7 (a\nb) S 3 7"), "a\nb", 0, 3 },
	{ "stat: an empty name", BYTES("7 () S 3 7"), "", 0, 3 },
	{ "stat: cut before the parent", BYTES("7 (nginx) S "), "", -EPROTO, 0 },
	{ "stat: a negative parent", BYTES("7 (nginx) S -1 7"), "", -EPROTO, 0 },
	{ "stat: a parent too large", BYTES("7 (nginx) S 4294967296 7"), "", -EPROTO, 0 },
	{ "stat: no name", BYTES("7 nginx S 1"), "", -EPROTO, 0 },
	{ "stat: brackets the wrong way round", BYTES("7 )( S 1"), "", -EPROTO, 0 },
	{ "stat: empty", BYTES(""), "", -EPROTO, 0 },
	{ "stat: a long name is cut",
	  BYTES("7 (kworker/0123456789012345678901234567890123456789012345678901234567890) S 2 0"),
	  "kworker/0123456789012345678901234567890123456789012345678901234", 0, 2 },
};

static void parses_stat(void **state)
{
	const struct stat_case *c = *state;
	char comm[PG_COMM_MAX + 1] = "";
	uint32_t ppid = 0;
	assert_int_equal(pg_procfs_stat(c->text, c->n, &ppid, comm), c->want);
	assert_string_equal(comm, c->comm);
	assert_int_equal(ppid, c->ppid);
}

static struct uid_case {
	const char *name, *text;
	size_t n;
	int want;
	uint32_t uid;
} uids[] = {
	{ "uid: the effective one", BYTES("Name:\tx\nUid:\t0\t101\t2\t3\nGid:\t1\t1\t1\t1\n"), 0,
	  101 },
	{ "uid: the largest", BYTES("Uid:\t0\t4294967295\t0\t0\n"), 0, UINT32_MAX },
	{ "uid: a name that imitates it", BYTES("Name:\tUid:\\n\nUid:\t5\t6\t7\t8\n"), 0, 6 },
	{ "uid: absent", BYTES("Name:\tx\nGid:\t1\t1\n"), -EPROTO, 0 },
	{ "uid: cut", BYTES("Name:\tx\nUid:\t5"), -EPROTO, 0 },
	{ "uid: in words", BYTES("Uid:\troot\troot\n"), -EPROTO, 0 },
	{ "uid: on the next line", BYTES("Uid:\t5\n6\t7\n"), -EPROTO, 0 },
	{ "uid: empty", BYTES(""), -EPROTO, 0 },
};

static void parses_uid(void **state)
{
	const struct uid_case *c = *state;
	uint32_t uid = 0;
	assert_int_equal(pg_procfs_uid(c->text, c->n, &uid), c->want);
	assert_int_equal(uid, c->uid);
}

static struct cgroup_case {
	const char *name, *text;
	size_t n;
	const char *id; /* NULL: none */
} cgroups[] = {
	{ "cgroup: v1 of containerd",
	  BYTES("12:memory:/kubepods/burstable/pod2f-4e/" ID "\n1:name=systemd:/x\n"), ID },
	{ "cgroup: v1 of containerd under systemd",
	  BYTES("4:cpu:/system.slice/containerd.service/kubepods-pod2f.slice:cri-containerd:" ID
		"\n"),
	  ID },
	{ "cgroup: v2 of containerd",
	  BYTES("0::/kubepods.slice/kubepods-pod2f.slice/cri-containerd-" ID ".scope\n"), ID },
	{ "cgroup: v2 of containerd with a cgroup below",
	  BYTES("0::/kubepods.slice/cri-containerd-" ID ".scope/init.scope\n"), ID },
	{ "cgroup: v2, a neighbour in a namespace", BYTES("0::/../cri-containerd-" ID ".scope\n"),
	  ID },
	{ "cgroup: v2 of containerd without systemd", BYTES("0::/kubepods/besteffort/pod2/" ID),
	  ID },
	{ "cgroup: v2 of CRI-O", BYTES("0::/kubepods.slice/crio-" ID ".scope/container\n"), ID },
	{ "cgroup: the monitor of CRI-O is in no container",
	  BYTES("0::/kubepods.slice/crio-conmon-" ID ".scope\n"), NULL },
	{ "cgroup: v2 of Podman", BYTES("0::/machine.slice/libpod-" ID ".scope/container\n"), ID },
	{ "cgroup: the monitor of Podman is in no container",
	  BYTES("0::/machine.slice/libpod-conmon-" ID ".scope\n"), NULL },
	{ "cgroup: v1 of Docker", BYTES("9:pids:/docker/" ID "\n"), ID },
	{ "cgroup: v2 of Docker", BYTES("0::/system.slice/docker-" ID ".scope\n"), ID },
	{ "cgroup: a node that is itself a container",
	  BYTES("0::/docker/" OUTER "/kubelet/kubepods/pod2/" ID "\n"), ID },
	{ "cgroup: our own, in a namespace", BYTES("0::/\n"), NULL },
	{ "cgroup: a service of the node", BYTES("0::/system.slice/ssh.service\n"), NULL },
	{ "cgroup: 63 digits",
	  BYTES("0::/docker-123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope"),
	  NULL },
	{ "cgroup: 65 digits", BYTES("0::/docker-0" ID ".scope"), NULL },
	{ "cgroup: digits within a word", BYTES("0::/x" ID ".scope"), NULL },
	{ "cgroup: empty", BYTES(""), NULL },
};

static void finds_container(void **state)
{
	const struct cgroup_case *c = *state;
	char id[PG_CONTAINER_ID + 1] = "";
	assert_int_equal(pg_procfs_container(c->text, c->n, id), c->id ? 0 : -ENOENT);
	assert_string_equal(id, c->id ? c->id : "");
}

static struct link_case {
	const char *name, *text;
	int want;
	uint32_t inode;
} links[] = {
	{ "fd: a socket", "socket:[4711]", 0, 4711 },
	{ "fd: a pipe", "pipe:[4711]", -EINVAL, 0 },
	{ "fd: a file of that name", "/tmp/socket:[4711]", -EINVAL, 0 },
	{ "fd: no number", "socket:[]", -EINVAL, 0 },
	{ "fd: not ended", "socket:[47", -EINVAL, 0 },
	{ "fd: too large", "socket:[4294967296]", -EINVAL, 0 },
	{ "fd: empty", "", -EINVAL, 0 },
};

static void parses_link(void **state)
{
	const struct link_case *c = *state;
	uint32_t inode = 0;
	assert_int_equal(pg_procfs_socket(c->text, strlen(c->text), &inode), c->want);
	assert_int_equal(inode, c->inode);
}

static const struct pg_process *find(const struct pg_process_list *list, pid_t pid)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].pid == (uint32_t)pid)
			return &list->items[i];
	return NULL;
}

/* A child that waits for its end, as "sleep" with arguments of any bytes. */
static pid_t start_child(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "odd \xff name", "-c", "read x; exit 0", "", "last", (char *)NULL);
		_exit(1);
	}
	assert_true(pid > 0);
	return pid;
}

static void reads_this_machine(void **state)
{
	(void)state;
	static const char *const want[] = { "odd \xff name", "-c", "read x; exit 0", "", "last" };
	struct pg_process_list list;
	struct pg_err err;
	int in[2];
	assert_int_equal(pipe(in), 0);
	int saved = dup(0);
	dup2(in[0], 0);
	pid_t pid = start_child();
	dup2(saved, 0);
	const struct pg_process *p = NULL;
	for (int tries = 0; tries < 200; tries++) {
		assert_int_equal(pg_processes_read("/proc", &list, &err), 0);
		p = find(&list, pid);
		assert_non_null(p);
		if (p->command_len > 0 && p->command[0] == 'o')
			break;
		pg_processes_fini(&list);
		usleep(10000);
	}
	assert_int_equal(p->ppid, getpid());
	assert_int_equal(p->uid, geteuid());
	assert_true(strcmp(p->name, "sh") == 0 || strcmp(p->name, "dash") == 0);
	size_t at = 0;
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(pg_process_argument(p, &at), want[i]);
	assert_null(pg_process_argument(p, &at));
	pg_processes_fini(&list);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(in[0]);
	close(in[1]);
	close(saved);
}

static void finds_who_holds_a_socket(void **state)
{
	(void)state;
	struct pg_process_list list;
	struct pg_err err;
	struct stat st;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(fstat(fd, &st), 0);
	struct pg_socket_owner owners[] = { { .inode = (uint32_t)st.st_ino }, { .inode = 1 } };
	qsort(owners, 2, sizeof(owners[0]), pg_socket_owner_compare);
	assert_int_equal(pg_processes_read("/proc", &list, &err), 0);
	pg_processes_find_sockets("/proc", &list, owners, 2);
	assert_int_equal(owners[0].pid, 0);
	assert_int_equal(owners[1].pid, getpid());
	pg_processes_fini(&list);
	close(fd);
}

static void no_proc_is_an_error(void **state)
{
	(void)state;
	struct pg_process_list list;
	struct pg_err err;
	assert_int_equal(pg_processes_read("/nonexistent", &list, &err), -ENOENT);
	assert_non_null(strstr(err.what, "/nonexistent"));
}

static void allocations_may_fail(void **state)
{
	(void)state;
	for (size_t nth = 0; nth < 4; nth++) {
		struct pg_process_list list;
		struct pg_err err;
		pg_mem_fail_after(nth);
		int rc = pg_processes_read("/proc", &list, &err);
		int failed = pg_mem_failed();
		pg_mem_fail_after((size_t)-1);
		assert_int_equal(rc, failed ? -ENOMEM : 0);
		if (rc == 0)
			pg_processes_fini(&list);
	}
}

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct CMUnitTest *add_rows(struct CMUnitTest *t, void *rows, size_t count, size_t size,
				   CMUnitTestFunction fn)
{
	for (size_t i = 0; i < count; i++) {
		void *row = (char *)rows + i * size;
		const char *name;
		memcpy(&name, row, sizeof(name)); /* the first member of each row */
		*t++ = (struct CMUnitTest){ name, fn, NULL, NULL, row };
	}
	return t;
}

int main(void)
{
	struct CMUnitTest tests[4 + ROWS(stats) + ROWS(uids) + ROWS(cgroups) + ROWS(links)] = {
		cmocka_unit_test(reads_this_machine),
		cmocka_unit_test(finds_who_holds_a_socket),
		cmocka_unit_test(no_proc_is_an_error),
		cmocka_unit_test(allocations_may_fail),
	};
	struct CMUnitTest *t = tests + 4;
	t = add_rows(t, stats, ROWS(stats), sizeof(stats[0]), parses_stat);
	t = add_rows(t, uids, ROWS(uids), sizeof(uids[0]), parses_uid);
	t = add_rows(t, cgroups, ROWS(cgroups), sizeof(cgroups[0]), finds_container);
	add_rows(t, links, ROWS(links), sizeof(links[0]), parses_link);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
