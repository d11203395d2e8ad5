#pragma once
#include "proto/base/err.h"

/* What the agent gives up (design 3.3). Both calls do nothing in builds with a sanitizer, whose
 * runtime needs what they take away. */

/* First thing in main(): nobody may trace us or read our memory, the kernel ends us before the
 * pod's own programs when memory runs out (best effort), and no exec will ever add privileges. */
void pg_privs_harden(void);

/* Installs the seccomp filter of profiles that never execute programs, for this process and all it
 * will make, for good: exec, ptrace and reading other processes' memory end the process; calls that
 * are not listed answer EPERM; new processes and executable memory are refused, threads are not.
 * pg_privs_harden() comes first. -ENOSYS or -EINVAL: the kernel has no seccomp. */
int pg_privs_confine(struct pg_err *err);
