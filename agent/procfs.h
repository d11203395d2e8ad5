#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

/* Processes, read from /proc as proc(5) describes it. All of it is the world's: names and commands
 * are whatever bytes a process gave itself. The parsers are pure; texts need no NUL. */

enum {
	PG_COMM_MAX = 63,      /* bytes of a name; the kernel's own threads exceed TASK_COMM_LEN */
	PG_COMMAND_MAX = 1024, /* bytes kept of a command, NULs included */
	PG_CONTAINER_ID = 64,  /* hex digits */
	PG_PROCESSES_MAX = 1024,
};

/* "PID (NAME) STATE PPID ..." of /proc/PID/stat. The name may hold anything, ") " included.
 * 0, or -EPROTO with the results untouched. */
int pg_procfs_stat(const char *text, size_t n, uint32_t *ppid_out, char name_out[PG_COMM_MAX + 1]);

/* The effective uid from /proc/PID/status: 0 or -EPROTO. */
int pg_procfs_uid(const char *text, size_t n, uint32_t *uid_out);

/* The container's id from /proc/PID/cgroup, as containerd, CRI-O, Podman and Docker put it into
 * paths of cgroup v1 and v2: the last 64 hex digits that stand alone. 0 or -ENOENT. */
int pg_procfs_container(const char *text, size_t n, char id_out[PG_CONTAINER_ID + 1]);

/* The inode of a socket from the target of /proc/PID/fd/N, "socket:[123]": 0 or -EINVAL. */
int pg_procfs_socket(const char *text, size_t n, uint32_t *inode_out);

struct pg_process {
	uint32_t pid, ppid, uid;
	char name[PG_COMM_MAX + 1];
	char container[PG_CONTAINER_ID + 1]; /* "" when unknown */
	char *command;                       /* arguments, each ended by NUL; owned by the list */
	size_t command_len;
};

struct pg_process_list {
	struct pg_process *items;
	size_t count;
	bool truncated; /* there were more than PG_PROCESSES_MAX */
};

/* Reads the processes under `root` ("/proc"), in its order. Those that end meanwhile are left out;
 * what may not be read of one is empty. The caller ends the list with pg_processes_fini(). */
int pg_processes_read(const char *root, struct pg_process_list *out, struct pg_err *err);
void pg_processes_fini(struct pg_process_list *list);

/* The next argument of a command: moves *at (0 at first) past it. NULL at the end. */
const char *pg_process_argument(const struct pg_process *p, size_t *at);

struct pg_socket_owner {
	uint32_t inode;
	uint32_t pid; /* 0: unknown */
};

/* Fills the pid of each of the `n` owners, sorted by inode, with the first process of `list` that
 * holds it. Processes whose descriptors we may not see are passed over. */
void pg_processes_find_sockets(const char *root, const struct pg_process_list *list,
			       struct pg_socket_owner *owners, size_t n);

/* Orders by inode, for qsort() and bsearch(). */
int pg_socket_owner_compare(const void *a, const void *b);
