#include "injector/read_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { CHUNK = 16 << 10 };

static int fail(const char *path, int code, struct pg_err *err)
{
	pg_fail(err, code, "read '%s'", path);
	return pg_hint(err, PG_LOCAL, "check the path and its permissions");
}

int pg_read_file(const char *path, struct pg_buf *out, struct pg_err *err)
{
	pg_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(path, -errno, err);
	for (;;) {
		uint8_t chunk[CHUNK];
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(path, -errno, err);
		if (n == 0)
			return 0;
		int rc = pg_buf_add(out, chunk, (size_t)n);
		if (rc < 0)
			return fail(path, rc == -ENOBUFS ? -EFBIG : rc, err);
	}
}
