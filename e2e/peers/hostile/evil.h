#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire/auth.h"

/* What an evil agent knows of itself. */
struct evil {
	const char *pod_uid, *container;
	struct pg_keys keys;
	uint16_t port; /* of its control API */
};

/* Writes all; ends the process when nobody listens any more. */
void evil_say(int fd, const void *bytes, size_t n);

/* Writes `text`, and then the letter a for ever, one byte every 100 ms. */
void evil_drip(int fd, const char *text, size_t n);

/* A socket that listens on 127.0.0.1, and the next connection to it. -1: it did not work. */
int evil_listen(uint16_t *port);
int evil_accept(int listener);

/* What it does on a link that was proved: each returns when the laptop has hung up. */
void evil_garbage(int fd);
void evil_dripping_frame(int fd);
void evil_holder_that_steers(int fd);
void evil_absurd_ports(int fd);
void evil_flood_of_opens(int fd);
void evil_unknown_redirects(int fd);
void evil_data_without_credit(int fd);
void evil_flood_of_news(int fd);
