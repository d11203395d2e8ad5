#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "injector/cli.h"

/* A descriptor 0, 1 or 2 that is closed would be taken by the next file or socket that we open, and
 * get our words. It becomes one of /dev/null that fails as a closed one does: 0 cannot be read, 1
 * and 2 cannot be written. */
static void hold_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
			abort(); /* the lowest free one is `fd`, and without it nothing is safe */
	}
}

int main(int argc, char **argv)
{
	hold_standard_descriptors();
	return pg_cli_main(argc, argv);
}
