#include "agent/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/num.h"

/* The half of procfs.h that reads files. */

enum {
	TEXT_MAX = 8192,             /* of stat, status and cgroup: the fields come early */
	DESCRIPTORS_MAX = 32 * 1024, /* looked at in one call: some 50 ms */
};

static DIR *open_dir(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

/* Reads at most `cap` bytes of a file; 0 when it cannot be read. */
static size_t read_text(int dir, const char *name, char *text, size_t cap)
{
	pg_auto_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	while (fd >= 0 && len < cap) {
		ssize_t n = read(fd, text + len, cap - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	return len;
}

/* Keeps a command, the last argument ended by NUL even when it was cut. */
static int keep_command(struct pg_process *p, const char *text, size_t n)
{
	if (n == 0)
		return 0;
	p->command = pg_calloc(n + 1, 1);
	if (!p->command)
		return -ENOMEM;
	memcpy(p->command, text, n);
	p->command_len = text[n - 1] == '\0' ? n : n + 1;
	return 0;
}

/* 0, -ENOENT when the process has ended, -ENOMEM. */
static int read_process(int root, const char *pid_text, struct pg_process *p)
{
	char text[TEXT_MAX];
	pg_auto_close int dir = openat(root, pid_text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 ||
	    pg_procfs_stat(text, read_text(dir, "stat", text, sizeof(text)), &p->ppid, p->name) < 0)
		return -ENOENT;
	if (pg_procfs_uid(text, read_text(dir, "status", text, sizeof(text)), &p->uid) < 0)
		return -ENOENT;
	pg_procfs_container(text, read_text(dir, "cgroup", text, sizeof(text)), p->container);
	return keep_command(p, text, read_text(dir, "cmdline", text, PG_COMMAND_MAX));
}

/* Reads the processes of an open directory into `list`, whose items have room for the maximum. */
static int read_all(DIR *dir, struct pg_process_list *list)
{
	const struct dirent *e;
	while ((e = readdir(dir))) {
		uint64_t pid;
		if (pg_parse_u64(e->d_name, 1, INT32_MAX, &pid) < 0)
			continue;
		if (list->count == PG_PROCESSES_MAX) {
			list->truncated = true;
			return 0;
		}
		struct pg_process *p = &list->items[list->count];
		*p = (struct pg_process){ .pid = (uint32_t)pid };
		int rc = read_process(dirfd(dir), e->d_name, p);
		if (rc == -ENOMEM)
			return rc;
		list->count += rc == 0;
	}
	return 0;
}

int pg_processes_read(const char *root, struct pg_process_list *out, struct pg_err *err)
{
	struct pg_process_list list = { 0 };
	DIR *dir = open_dir(AT_FDCWD, root);
	if (!dir)
		return pg_fail(err, -errno, "open %s", root);
	list.items = pg_calloc(PG_PROCESSES_MAX, sizeof(*list.items));
	int rc = list.items ? read_all(dir, &list) : -ENOMEM;
	closedir(dir);
	if (rc < 0) {
		pg_processes_fini(&list);
		return pg_fail(err, rc, "read the processes");
	}
	*out = list;
	return 0;
}

void pg_processes_fini(struct pg_process_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].command);
	free(list->items);
	*list = (struct pg_process_list){ 0 };
}

/* Looks through the descriptors of one process; returns how many of `budget` are left. */
static unsigned find_sockets_of(DIR *fds, uint32_t pid, struct pg_socket_owner *owners, size_t n,
				unsigned budget)
{
	const struct dirent *e;
	while (budget > 0 && (e = readdir(fds))) {
		char target[64];
		struct pg_socket_owner key;
		budget--;
		ssize_t len = readlinkat(dirfd(fds), e->d_name, target, sizeof(target));
		if (len <= 0 || pg_procfs_socket(target, (size_t)len, &key.inode) < 0)
			continue;
		struct pg_socket_owner *owner =
			bsearch(&key, owners, n, sizeof(*owners), pg_socket_owner_compare);
		if (owner && owner->pid == 0)
			owner->pid = pid;
	}
	return budget;
}

void pg_processes_find_sockets(const char *root, const struct pg_process_list *list,
			       struct pg_socket_owner *owners, size_t n)
{
	unsigned budget = DESCRIPTORS_MAX;
	for (size_t i = 0; i < list->count && budget > 0; i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/%u/fd", root, list->items[i].pid);
		DIR *fds = open_dir(AT_FDCWD, path);
		if (!fds)
			continue;
		budget = find_sockets_of(fds, list->items[i].pid, owners, n, budget);
		closedir(fds);
	}
}
