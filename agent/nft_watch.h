#pragma once
#include <stdbool.h>

#include "proto/base/err.h"

/* Notices that tables of the pod's rule set come and go, whoever makes or removes them: the kernel
 * tells a socket of its own, which is polled for reading. */

/* Opens the socket, nonblocking, close on exec: 0 with *fd_out, which is the caller's. */
int pg_nft_watch_open(int *fd_out, struct pg_err *err);

/* Reads all that there is to read. True when a table has come or gone, or when there was so much
 * that it may have been missed: look at the tables. */
bool pg_nft_watch_read(int fd);
