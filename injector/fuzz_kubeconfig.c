#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "injector/kubeconfig.h"

/* Whatever a kubeconfig holds: what comes out of it is whole. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	int fd = memfd_create("kubeconfig", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	const struct pg_kube_flags flags = { .kubeconfig = path };
	struct pg_kubeconfig c;
	struct pg_err err = { .code = 0 };
	int rc = pg_kubeconfig_load(&flags, &c, &err);
	if (rc == 0 && (!c.server || !c.namespace_ || !c.context))
		abort();
	if (rc < 0 && (!err.what[0] || !err.hint[0]))
		abort();
	if (rc == 0)
		pg_kubeconfig_fini(&c);
	close(fd);
	return 0;
}
