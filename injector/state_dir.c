#include "injector/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "proto/base/mem.h"

enum { LOCK_TRIES = 400, LOCK_PAUSE_MS = 5 };

/* mkdir -p, each new folder for its owner only (XDG Base Directory Specification). */
static int make_folders(char *path)
{
	for (char *s = path + 1;; s++) {
		if (*s != '/' && *s != '\0')
			continue;
		char was = *s;
		*s = '\0';
		int rc = mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -errno;
		*s = was;
		if (rc < 0 || was == '\0')
			return rc;
	}
}

char *pg_state_dir(struct pg_err *err)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *path = NULL;
	if (state && state[0] == '/') /* a relative one is to be ignored, says the specification */
		path = pg_asprintf("%s/podgraft", state);
	else if (home && home[0] == '/')
		path = pg_asprintf("%s/.local/state/podgraft", home);
	else {
		pg_fail(err, -ENOENT, "no folder to keep the key and the record of agents in.");
		pg_hint(err, PG_LOCAL, "set HOME or XDG_STATE_HOME");
		return NULL;
	}
	int rc = path ? make_folders(path) : -ENOMEM;
	if (rc == 0)
		return path;
	pg_fail(err, rc, "make %s", path ? path : "the state folder");
	pg_hint(err, PG_LOCAL, "set XDG_STATE_HOME to a folder that you can write to");
	free(path);
	return NULL;
}

int pg_state_lock(const char *dir, struct pg_err *err)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000L };
	pg_auto_free char *path = pg_asprintf("%s/lock", dir);
	if (!path)
		return pg_fail(err, -ENOMEM, "lock %s", dir);
	pg_auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int rc = fd < 0 ? -errno : -EBUSY;
	for (int i = 0; i < LOCK_TRIES && rc == -EBUSY; i++) {
		rc = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
		if (rc == -EWOULDBLOCK || rc == -EINTR) {
			rc = -EBUSY;
			nanosleep(&pause, NULL);
		}
	}
	if (rc == 0)
		return pg_take_fd(&fd);
	pg_fail(err, rc, "lock %s", path);
	pg_hint(err, PG_LOCAL,
		rc == -EBUSY ? "another podgraft holds it: is one stopped?"
			     : "the folder must be yours and writable");
	return rc;
}

/* A byte of one file for each pod: where two have the same one, one waits in vain, and no harm is
 * done. */
int pg_state_lock_pod(const char *dir, const char *uid)
{
	uint32_t hash = 2166136261; /* FNV-1a */
	for (const char *c = uid; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619;
	struct flock byte = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = hash, .l_len = 1
	};
	pg_auto_free char *path = pg_asprintf("%s/grafts.lock", dir);
	if (!path)
		return -ENOMEM;
	pg_auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETLK, &byte) < 0)
		return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
	return pg_take_fd(&fd);
}

static int write_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t did = write(fd, bytes, n);
		if (did < 0 && errno == EINTR)
			continue;
		if (did < 0)
			return -errno;
		bytes += did;
		n -= (size_t)did;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

int pg_state_write(const char *dir, const char *name, const void *bytes, size_t n,
		   struct pg_err *err)
{
	pg_auto_free char *path = pg_asprintf("%s/%s", dir, name);
	pg_auto_free char *temp = pg_asprintf("%s/.%s.new", dir, name);
	if (!path || !temp)
		return pg_fail(err, -ENOMEM, "write %s", name);
	unlink(temp); /* of one who died here: the lock is ours */
	pg_auto_close int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int rc = fd < 0 ? -errno : write_all(fd, bytes, n);
	if (rc == 0 && rename(temp, path) < 0)
		rc = -errno;
	if (rc == 0)
		return 0;
	unlink(temp);
	pg_fail(err, rc, "write %s", path);
	pg_hint(err, PG_LOCAL, "is the disk full, or the folder not yours?");
	return rc;
}

/* Reads up to `max` bytes; one more tells that there are too many. */
static int read_all(int fd, size_t max, char **out, size_t *n)
{
	char *text = pg_calloc(max + 2, 1);
	size_t len = 0;
	if (!text)
		return -ENOMEM;
	for (;;) {
		ssize_t did = read(fd, text + len, max + 1 - len);
		if (did < 0 && errno == EINTR)
			continue;
		if (did < 0 || len + (size_t)did > max) {
			int rc = did < 0 ? -errno : -EFBIG;
			free(text);
			return rc;
		}
		if (did == 0)
			break;
		len += (size_t)did;
	}
	*out = text;
	*n = len;
	return 0;
}

static int check_private(int fd, const char *path, struct pg_err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return pg_fail(err, -errno, "look at %s", path);
	if (st.st_uid == geteuid() && (st.st_mode & 077) == 0)
		return 0;
	pg_fail(err, -EPERM, "%s is open to others (mode %03o, owner %u).", path,
		(unsigned)(st.st_mode & 0777), (unsigned)st.st_uid);
	pg_hint(err, PG_LOCAL,
		"chmod 600 %s; if others may have read it, delete it "
		"instead: a new one is made",
		path);
	return -EPERM;
}

int pg_state_read(const char *dir, const char *name, size_t max, char **out, size_t *n,
		  struct pg_err *err)
{
	pg_auto_free char *path = pg_asprintf("%s/%s", dir, name);
	if (!path)
		return pg_fail(err, -ENOMEM, "read %s", name);
	pg_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int rc = fd < 0 ? -errno : 0;
	if (rc == 0) {
		rc = check_private(fd, path, err);
		if (rc < 0)
			return rc;
		rc = read_all(fd, max, out, n);
	}
	if (rc == 0)
		return 0;
	pg_fail(err, rc, "read %s", path);
	pg_hint(err, PG_LOCAL, "the file must be yours and readable");
	return rc;
}
